// SPDX-License-Identifier: Apache-2.0
//
// Requests and answers: one encoding each, and what is signed.
#include "policies/online_approval.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/pem.h"
#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

constexpr const char* request_label = "CKPT-SEAL REQUEST";
constexpr const char* answer_label = "CKPT-SEAL ANSWER";
constexpr std::string_view request_magic = "CKSREQU1";
constexpr std::string_view answer_magic = "CKSANSW1";
constexpr std::uint32_t cc_unseal = 0x0000015e;  // TPM 2.0 Part 2, "TPM_CC"
constexpr std::uint8_t uncompressed = 0x04;
constexpr std::size_t longest_who = 255;

Error refused(const std::string& what, std::string_view why) {
  return {Code::integrity, fmt::format("{} is refused: {}; ask anew.", what, why), 0};
}

Result<Bytes> decode(const char* label, ByteView pem, const std::string& what) {
  if (pem.size() > largest_online_message) return refused(what, "it is longer than 4096 bytes");
  return pem_decode(label, pem, what);
}

bool is_sha256_name(const TpmName& name) { return name[0] == 0x00 && name[1] == 0x0b; }

bool is_printable(std::string_view text) {
  return text.size() <= longest_who &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

bool can_expire(std::uint32_t seconds) {
  return seconds >= 1 && seconds <= OnlineAnswer::longest_expiration;
}

Bytes encode(const OnlineRequest& request) {
  ByteWriter out;
  out.bytes(as_bytes(request_magic));
  out.u8(uncompressed).bytes(request.key.x).bytes(request.key.y);
  out.bytes(request.checkpoint.origin).bytes(request.checkpoint.id);
  out.u32(request.checkpoint.limits.restores).u64(request.checkpoint.limits.not_after);
  out.bytes(request.object).bytes(request.nonce);
  out.u8(static_cast<std::uint8_t>(request.who.size())).bytes(as_bytes(request.who));
  return out.take();
}

}  // namespace

Digest unseal_command(const TpmName& object) {
  return Sha256::of(ByteWriter().u32(cc_unseal).bytes(object).view());
}

Result<OnlineRequest> OnlineRequest::parse(ByteView pem, const std::string& what) {
  CKPTSEAL_ASSIGN(const Bytes content, decode(request_label, pem, what));
  ByteReader in(content);
  const bool ours =
      same_bytes(in.view(request_magic.size()), as_bytes(request_magic)) && in.u8() == uncompressed;
  OnlineRequest out;
  out.key.x = in.array<32>();
  out.key.y = in.array<32>();
  out.checkpoint.origin = in.array<32>();
  out.checkpoint.id = in.array<16>();
  out.checkpoint.limits.restores = in.u32();
  out.checkpoint.limits.not_after = in.u64();
  out.object = in.array<34>();
  out.nonce = in.array<32>();
  const std::size_t length = in.u8();
  out.who = std::string(as_text(in.view(length)));
  if (!ours || !in.at_end() || !is_sha256_name(out.object) || !is_printable(out.who)) {
    return refused(what, "it is damaged, or of a newer ckpt-seal");
  }
  return out;
}

Result<std::string> OnlineRequest::pem() const {
  if (!is_sha256_name(object) || !is_printable(who)) {
    return Error{Code::usage,
                 "The request cannot be: its object has no Name by SHA-256, or who asks is not up "
                 "to 255 printable characters; change it.",
                 0};
  }
  return pem_encode(request_label, encode(*this));
}

Digest OnlineRequest::fingerprint() const { return Sha256::of(encode(*this)); }

Digest OnlineRequest::to_sign(std::uint32_t expiration) const {
  return Sha256::of(ByteWriter()
                        .bytes(nonce)
                        .u32(expiration)
                        .bytes(unseal_command(object))
                        .bytes(online_reference(checkpoint))
                        .view());
}

Result<OnlineAnswer> OnlineAnswer::parse(ByteView pem, const std::string& what) {
  CKPTSEAL_ASSIGN(const Bytes content, decode(answer_label, pem, what));
  ByteReader in(content);
  const bool ours = same_bytes(in.view(answer_magic.size()), as_bytes(answer_magic));
  OnlineAnswer out;
  out.request = in.array<32>();
  out.expiration = in.u32();
  out.signature = in.array<64>();
  if (!ours || !in.at_end()) return refused(what, "it is damaged, or of a newer ckpt-seal");
  if (!can_expire(out.expiration)) return refused(what, "it does not expire within an hour");
  return out;
}

Result<std::string> OnlineAnswer::pem() const {
  if (!can_expire(expiration)) {
    return Error{Code::usage, "An answer expires after 1 to 3600 seconds: name another time.", 0};
  }
  return pem_encode(answer_label, ByteWriter()
                                      .bytes(as_bytes(answer_magic))
                                      .bytes(request)
                                      .u32(expiration)
                                      .bytes(signature)
                                      .view());
}

Result<OnlineAnswer> OnlineAnswer::sign(const OnlineRequest& asked, std::uint32_t expiration,
                                        const DigestSigner& signer) {
  OnlineAnswer out;
  out.request = asked.fingerprint();
  out.expiration = expiration;
  CKPTSEAL_TRY(out.pem());
  CKPTSEAL_ASSIGN(out.signature, signer(asked.to_sign(expiration)));
  if (out.check(asked).ok()) return out;
  return Error{Code::failed,
               "The signing key does not sign as the key that the request names: give the private "
               "half of that key.",
               0};
}

Status OnlineAnswer::check(const OnlineRequest& asked) const {
  if (request != asked.fingerprint()) {
    return Error{Code::revoked,
                 "The answer of the approver is for another request, and each serves once: ask "
                 "anew.",
                 0};
  }
  if (verify_p256(asked.key, asked.to_sign(expiration), signature)) return {};
  return Error{Code::integrity,
               "The answer of the approver is not signed by the key that the policy names, or it "
               "was altered: see that --approver asks the right authority.",
               0};
}

}  // namespace ckptseal
