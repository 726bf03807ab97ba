// SPDX-License-Identifier: Apache-2.0
//
// PolicyUpdate() and its kin (TPM 2.0 Part 3, "Policy Digest Update Function"), command by command.
#include "policies/policy_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ckptseal {
namespace {

// TPM 2.0 Part 2, "TPM_CC", "TPM_ALG_ID", "TPM_EO" and "TPMA_NV".
constexpr std::uint32_t cc_policy_nv = 0x00000149;
constexpr std::uint32_t cc_policy_signed = 0x00000160;
constexpr std::uint32_t cc_policy_authorize = 0x0000016a;
constexpr std::uint32_t cc_policy_auth_value = 0x0000016b;
constexpr std::uint32_t cc_policy_or = 0x00000171;
constexpr std::uint16_t alg_sha256 = 0x000b;
constexpr std::uint16_t alg_null = 0x0010;
constexpr std::uint16_t alg_ecdsa = 0x0018;
constexpr std::uint16_t alg_ecc = 0x0023;
constexpr std::uint16_t ecc_nist_p256 = 0x0003;
constexpr std::uint16_t eo_unsigned_le = 0x0009;
constexpr std::uint32_t sign_and_user_with_auth = 0x00040040;
constexpr std::uint32_t written_counter = 0x22060012;
constexpr std::uint16_t counter_size = 8;

const Digest fresh{};  // of a session in which nothing was asked

TpmName name_of(ByteView public_area) {
  TpmName out{};
  const Bytes name = ByteWriter().u16(alg_sha256).bytes(Sha256::of(public_area)).take();
  std::copy(name.begin(), name.end(), out.begin());
  return out;
}

Digest after(const Digest& before, const PcrTerm& term) {
  return policy_pcr(term.pcrs.selection, term.pcrs.digest(), before);
}

// It forgets what was before, so the rules let nothing be before.
Digest after(const Digest& /*before*/, const ApprovalTerm& term) {
  const Digest first = Sha256::of(
      ByteWriter().bytes(fresh).u32(cc_policy_authorize).bytes(authority_name(term.key)).view());
  const std::string reference = approval_reference(term.purpose, term.domain);
  return Sha256().update(first).update(as_bytes(reference)).finish();
}

Digest after(const Digest& before, const EpochTerm& term) {
  const Digest arguments =
      Sha256::of(ByteWriter().u64(term.at_most).u16(0).u16(eo_unsigned_le).view());
  return Sha256::of(ByteWriter()
                        .bytes(before)
                        .u32(cc_policy_nv)
                        .bytes(arguments)
                        .bytes(epoch_counter_name(term.index))
                        .view());
}

Digest after(const Digest& before, const PinTerm& /*term*/) {
  return Sha256::of(ByteWriter().bytes(before).u32(cc_policy_auth_value).view());
}

Digest after(const Digest& before, const OnlineStep& step) {
  const Digest first = Sha256::of(
      ByteWriter().bytes(before).u32(cc_policy_signed).bytes(authority_name(step.key)).view());
  return Sha256().update(first).update(online_reference(step.checkpoint)).finish();
}

Digest after(const Digest& /*before*/, const OrStep& step) {
  ByteWriter out;
  out.bytes(fresh).u32(cc_policy_or);
  for (const Digest& branch : step.branches) out.bytes(branch);
  return Sha256::of(out.view());
}

struct Compiled {
  Digest digest{};
  std::vector<PolicyPath> paths;
};

Compiled compile(const Policy& policy, const Checkpoint& checkpoint, Compiled so_far);

void append(Compiled& so_far, const PolicyStep& step) {
  so_far.digest = std::visit([&](const auto& s) { return after(so_far.digest, s); }, step);
  for (PolicyPath& path : so_far.paths) path.push_back(step);
}

void append_any(Compiled& so_far, const AnyTerm& any, const Checkpoint& checkpoint) {
  OrStep choice;
  Compiled all;
  for (const Policy& branch : any.branches) {
    Compiled through = compile(branch, checkpoint, so_far);
    choice.branches.push_back(through.digest);
    for (PolicyPath& path : through.paths) all.paths.push_back(std::move(path));
  }
  append(all, choice);
  so_far = std::move(all);
}

struct Append {
  Compiled& so_far;
  const Checkpoint& checkpoint;
  void operator()(const AnyTerm& any) const { append_any(so_far, any, checkpoint); }
  void operator()(const OnlineTerm& term) const {
    append(so_far, OnlineStep{term.key, checkpoint});
  }
  template <typename Term>
  void operator()(const Term& term) const {
    append(so_far, PolicyStep(term));
  }
};

Compiled compile(const Policy& policy, const Checkpoint& checkpoint, Compiled so_far) {
  for (const PolicyTerm& term : policy.terms) std::visit(Append{so_far, checkpoint}, term);
  return so_far;
}

Compiled compile(const Policy& policy, const Checkpoint& checkpoint) {
  return compile(policy, checkpoint, Compiled{fresh, {PolicyPath()}});
}

}  // namespace

Digest policy_digest(const Policy& policy, const Checkpoint& checkpoint) {
  return compile(policy, checkpoint).digest;
}

std::vector<PolicyPath> policy_paths(const Policy& policy, const Checkpoint& checkpoint) {
  return compile(policy, checkpoint).paths;
}

Digest path_digest(const PolicyPath& path) {
  Digest digest = fresh;
  for (const PolicyStep& step : path) {
    digest = std::visit([&](const auto& s) { return after(digest, s); }, step);
  }
  return digest;
}

Bytes authority_public_area(const EcPoint& key) {
  ByteWriter out;
  out.u16(alg_ecc).u16(alg_sha256).u32(sign_and_user_with_auth).u16(0);
  out.u16(alg_null).u16(alg_ecdsa).u16(alg_sha256).u16(ecc_nist_p256).u16(alg_null);
  out.u16(static_cast<std::uint16_t>(key.x.size())).bytes(key.x);
  out.u16(static_cast<std::uint16_t>(key.y.size())).bytes(key.y);
  return out.take();
}

TpmName authority_name(const EcPoint& key) { return name_of(authority_public_area(key)); }

Bytes epoch_counter_area(std::uint32_t index) {
  ByteWriter out;
  out.u32(index).u16(alg_sha256).u32(written_counter).u16(0).u16(counter_size);
  return out.take();
}

TpmName epoch_counter_name(std::uint32_t index) { return name_of(epoch_counter_area(index)); }

std::string approval_reference(ApprovalPurpose purpose, std::string_view domain) {
  return fmt::format("ckpt-seal/{}/{}", purpose_word(purpose), domain);
}

Digest online_reference(const Checkpoint& checkpoint) {
  return Sha256::of(ByteWriter()
                        .bytes(as_bytes("ckpt-seal/v1/online"))
                        .bytes(checkpoint.origin)
                        .bytes(checkpoint.id)
                        .u32(checkpoint.limits.restores)
                        .u64(checkpoint.limits.not_after)
                        .view());
}

Digest approval_hash(const Digest& approved, std::string_view reference) {
  return Sha256().update(approved).update(as_bytes(reference)).finish();
}

}  // namespace ckptseal
