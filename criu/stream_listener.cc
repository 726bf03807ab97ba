// SPDX-License-Identifier: Apache-2.0
//
// One accept, then the listener is of no more use.
#include "criu/stream_listener.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "criu/stream_connection.h"

namespace ckptseal {

Result<UniqueFd> accept_stream(int listener, HelperChannel& channel) {
  for (;;) {
    pollfd watched[] = {{listener, POLLIN, 0}, {channel.fd(), POLLIN, 0}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR) {
      return system_error("Cannot wait for CRIU", errno);
    }
    if (watched[1].revents != 0) {
      CKPTSEAL_ASSIGN(const bool finish, channel.finish_asked());
      if (finish) return Error{Code::failed, "CRIU ended without a stream of images.", 0};
    }
    UniqueFd out(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!out.valid()) continue;
    CKPTSEAL_TRY(check_stream_peer(out.get()));
    return out;
  }
}

StreamControl control_of(HelperChannel& channel, std::uint64_t total) {
  StreamControl out;
  out.fd = channel.fd();
  out.finish_asked = [&channel] { return channel.finish_asked(); };
  out.progress = [&channel, total](std::uint64_t done) { return channel.progress(done, total); };
  return out;
}

}  // namespace ckptseal
