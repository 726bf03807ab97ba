// SPDX-License-Identifier: Apache-2.0
#include "cli/token_signer.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>

#include "base/process.h"
#include "keymgr/pkcs11/pin_file.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

constexpr std::size_t longest_answer = 4096;

Result<EcdsaSignature> sign_here(const HostTokenState& token, const Digest& digest, int keep) {
  CKPTSEAL_TRY(harden_process({&keep, 1}));
  CKPTSEAL_ASSIGN(const TokenUri uri, TokenUri::parse(token.uri));
  CKPTSEAL_ASSIGN(HostToken opened,
                  HostToken::open(uri, token.id, pin_of(uri), HostToken::Use::sign));
  return opened.sign(digest);
}

// In the child. The code, 0 for none; then the signature, or the sentence that says why there is
// none.
int answer(const HostTokenState& token, const Digest& digest, int out) {
  const Result<EcdsaSignature> signature = sign_here(token, digest, out);
  ByteWriter message;
  if (signature.ok()) {
    message.u8(0).bytes(signature.value());
  } else {
    message.u8(static_cast<std::uint8_t>(signature.error().code));
    message.bytes(as_bytes(signature.error().message));
  }
  return write_full(out, message.view()).ok() ? 0 : 1;
}

// All that comes until the end; nullopt when that does not come in time.
Result<std::optional<Bytes>> read_in_time(int fd, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  Bytes all(longest_answer);
  std::size_t size = 0;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd watched = {fd, POLLIN, 0};
    const int ready = left.count() <= 0 ? 0 : poll(&watched, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return system_error("Cannot wait for the token", errno);
    if (ready == 0) return std::optional<Bytes>();
    const ssize_t n = read(fd, all.data() + size, all.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("Cannot wait for the token", errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  all.resize(size);
  return std::optional<Bytes>(std::move(all));
}

}  // namespace

Result<EcdsaSignature> sign_by_token(const HostTokenState& token, const Digest& digest,
                                     std::chrono::milliseconds timeout) {
  CKPTSEAL_ASSIGN(Pipe pipe, make_pipe());
  CKPTSEAL_ASSIGN(const Child child,
                  Child::fork([&] { return answer(token, digest, pipe.write_end.get()); }));
  pipe.write_end.reset();
  CKPTSEAL_ASSIGN(const std::optional<Bytes> message, read_in_time(pipe.read_end.get(), timeout));
  if (!message) {
    return Error{Code::unavailable,
                 "The token of this host does not answer: see whether its module and service work, "
                 "and try again, with a longer --tpm-timeout if it is slow.",
                 0};
  }
  ByteReader in(*message);
  const std::uint8_t code = in.u8();
  if (code == 0) {
    const EcdsaSignature signature = in.array<64>();
    if (in.at_end()) return signature;
  }
  if (code == 0 || code > static_cast<std::uint8_t>(Code::no_slot)) {
    return Error{Code::failed,
                 "The module of this host's token ended the process that asked it to sign; see "
                 "whether it works with its own tools.",
                 0};
  }
  return Error{Code{code}, std::string(as_text(ByteView(*message).subspan(1))), 0};
}

}  // namespace ckptseal
