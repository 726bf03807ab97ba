// SPDX-License-Identifier: Apache-2.0
//
// docs/criu-stream.md, "Requests" and "Names": what whoever is at the other end of the socket sends
// before any pipe. Once as the body of a request, once as the bytes of a connection.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "criu/stream_connection.h"
#include "fuzz.h"

using namespace ckptseal;        // NOLINT(google-build-using-namespace)
using namespace ckptseal::fuzz;  // NOLINT(google-build-using-namespace)

namespace {

void parse_body(ByteView input) {
  const Result<std::string> name = parse_stream_request(input);
  if (!name.ok()) return;
  require(check_stream_name(name.value()).ok() && name.value().find('/') == std::string::npos);
  ByteWriter again;
  again.u8(0x0a).u8(static_cast<std::uint8_t>(name.value().size())).bytes(as_bytes(name.value()));
  require(same_bytes(again.view(), input));
}

// Every name that it is asked for is one that may be asked for; nothing of it blocks.
void receive_all(ByteView input, bool restore) {
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd streamer(ends[0]);
  const UniqueFd criu(ends[1]);
  input = input.first(std::min<std::size_t>(input.size(), 8192));
  require(write_full(criu.get(), input).ok());
  require(shutdown(criu.get(), SHUT_WR) == 0);
  const auto exists = [](const std::string& name) {
    require(check_stream_name(name).ok());
    return name.size() % 2 == 0;
  };
  StreamConnection connection = restore ? StreamConnection::for_restore(streamer.get(), exists)
                                        : StreamConnection::for_dump(streamer.get());
  for (;;) {
    const Result<StreamArrival> arrival = connection.receive();
    if (!arrival.ok() || arrival.value().kind == StreamArrival::Kind::closed) return;
    require(arrival.value().kind == StreamArrival::Kind::absent);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  parse_body(input);
  receive_all(input, false);
  receive_all(input, true);
  return 0;
}
