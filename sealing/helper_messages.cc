// SPDX-License-Identifier: Apache-2.0
#include "sealing/helper_messages.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "base/fd.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t largest_message = 16 << 20;

// As read_full(). What the other end had not read yet when it was killed makes the end of its
// stream an error.
Result<std::size_t> read_until_gone(int socket, MutableByteView out) {
  Result<std::size_t> done = read_full(socket, out);
  if (!done.ok() && done.error().cause == ECONNRESET) return std::size_t{0};
  return done;
}

}  // namespace

Status send_frame(int socket, const std::string& body) {
  ByteWriter frame;
  frame.u32(static_cast<std::uint32_t>(body.size())).bytes(as_bytes(body));
  ByteView rest = frame.view();
  while (!rest.empty()) {
    const ssize_t n = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("Cannot talk to the helper", errno);
    rest = rest.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::optional<Bytes>> receive_frame(int socket) {
  ByteArray<4> length_bytes{};
  CKPTSEAL_ASSIGN(std::size_t done, read_until_gone(socket, length_bytes));
  if (done == 0) return std::optional<Bytes>();
  const std::uint32_t length = ByteReader(length_bytes).u32();
  if (done != length_bytes.size() || length > largest_message) {
    return no_message();
  }
  Bytes body(length);
  CKPTSEAL_ASSIGN(done, read_until_gone(socket, body));
  if (done != length) return std::optional<Bytes>();
  return std::optional<Bytes>(std::move(body));
}

Error no_message() { return {Code::failed, "The helper sent a message that is none.", 0}; }

void set_failure(proto::Failure& failure, const Error& error) {
  failure.set_code(static_cast<std::uint32_t>(error.code));
  failure.set_message(error.message);
  failure.set_cause(error.cause);
}

Error to_error(const proto::Failure& failure) {
  const bool known = failure.code() >= 1 && failure.code() <= 9;
  return Error{known ? static_cast<Code>(failure.code()) : Code::failed, failure.message(),
               failure.cause()};
}

}  // namespace ckptseal
