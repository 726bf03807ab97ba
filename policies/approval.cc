// SPDX-License-Identifier: Apache-2.0
//
// Reads an approval, and verifies both signatures before any of it is used.
#include "policies/approval.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/pem.h"
#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

constexpr const char* pem_label = "CKPT-SEAL APPROVAL";
constexpr std::string_view magic = "CKSAPPR1";
constexpr std::string_view statement_context = "ckpt-seal/v1/approval";
constexpr std::size_t longest_label = 255;

Error refused(const std::string& what, std::string_view why) {
  return {Code::integrity,
          fmt::format("{} is refused: {}; get it again from its authority.", what, why), 0};
}

Digest approved_by(const ApprovalStatement& statement) {
  Policy policy{{PcrTerm{statement.pcrs}}};
  if (statement.epoch) policy.terms.emplace_back(*statement.epoch);
  return policy_digest(policy, Checkpoint{});  // no term of it has to do with one
}

Digest release_hash_of(const ApprovalStatement& statement) {
  return approval_hash(approved_by(statement),
                       approval_reference(statement.term.purpose, statement.term.domain));
}

Digest statement_hash(ByteView before_signature) {
  return Sha256().update(as_bytes(statement_context)).update(before_signature).finish();
}

bool is_label(std::string_view text) {
  return text.size() <= longest_label &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

// All up to the signatures.
Bytes encode(const ApprovalStatement& statement) {
  ByteWriter out;
  out.bytes(as_bytes(magic)).u8(static_cast<std::uint8_t>(statement.term.purpose));
  out.u8(static_cast<std::uint8_t>(statement.term.domain.size()));
  out.bytes(as_bytes(statement.term.domain));
  out.u8(0x04).bytes(statement.term.key.x).bytes(statement.term.key.y);
  out.u32(statement.pcrs.selection.mask());
  for (const Digest& value : statement.pcrs.values) out.bytes(value);
  out.u8(statement.epoch ? 1 : 0);
  if (statement.epoch) out.u32(statement.epoch->index).u64(statement.epoch->at_most);
  out.u64(statement.created).u64(statement.expires);
  out.u8(static_cast<std::uint8_t>(statement.label.size())).bytes(as_bytes(statement.label));
  return out.take();
}

Status check(const ApprovalStatement& statement) {
  const auto wrong = [](std::string_view why) {
    return Error{Code::usage, fmt::format("The approval cannot be: {}; change it.", why), 0};
  };
  if (statement.term.purpose != ApprovalPurpose::restore) {
    return wrong("it is not for restoring");
  }
  CKPTSEAL_TRY((Policy{{statement.term}}.check()));
  CKPTSEAL_TRY((Policy{{PcrTerm{statement.pcrs}}}.check()));
  if (statement.epoch) CKPTSEAL_TRY((Policy{{*statement.epoch}}.check()));
  if (statement.created == 0) return wrong("it does not say when it was made");
  if (statement.expires != 0 && statement.expires <= statement.created) {
    return wrong("it expires before it was made");
  }
  if (!is_label(statement.label)) return wrong("its label is not up to 255 printable characters");
  return {};
}

// nullopt when it is cut, or a field has a value that it cannot have.
std::optional<ApprovalStatement> read_statement(ByteReader& in) {
  ApprovalStatement out;
  if (!same_bytes(in.view(magic.size()), as_bytes(magic))) return std::nullopt;
  if (in.u8() != static_cast<std::uint8_t>(ApprovalPurpose::restore)) return std::nullopt;
  const std::size_t domain_length = in.u8();
  out.term.domain = std::string(as_text(in.view(domain_length)));
  if (in.u8() != 0x04) return std::nullopt;
  out.term.key.x = in.array<32>();
  out.term.key.y = in.array<32>();
  const Result<PcrSelection> selection = PcrSelection::of_mask(in.u32());
  if (!selection.ok()) return std::nullopt;
  out.pcrs.selection = selection.value();
  for (std::size_t i = 0; i < selection.value().size(); ++i) {
    out.pcrs.values.push_back(in.array<32>());
  }
  const unsigned has_epoch = in.u8();
  if (has_epoch > 1) return std::nullopt;
  if (has_epoch == 1) {
    const std::uint32_t index = in.u32();
    out.epoch = EpochTerm{index, in.u64()};
  }
  out.created = in.u64();
  out.expires = in.u64();
  const std::size_t label_length = in.u8();
  out.label = std::string(as_text(in.view(label_length)));
  if (!in.ok() || !check(out).ok()) return std::nullopt;
  return out;
}

}  // namespace

Digest Approval::release_hash() const { return release_hash_of(statement_); }

Result<Approval> Approval::read(ByteView pem, const std::string& what) {
  if (pem.size() > largest_approval_file) {
    return refused(what, "it is longer than 8192 bytes, so it is no approval");
  }
  CKPTSEAL_ASSIGN(const Bytes content, pem_decode(pem_label, pem, what));
  ByteReader in(content);
  std::optional<ApprovalStatement> statement = read_statement(in);
  if (!statement || in.remaining() != 2 * sizeof(EcdsaSignature)) {
    return refused(what, "it is damaged, or of a newer ckpt-seal");
  }
  Approval out;
  out.release_ = in.array<64>();
  const EcdsaSignature signature = in.array<64>();
  const ByteView signed_part = ByteView(content).first(content.size() - signature.size());
  const EcPoint& key = statement->term.key;
  if (!verify_p256(key, statement_hash(signed_part), signature) ||
      !verify_p256(key, release_hash_of(*statement), out.release_)) {
    return refused(what, "a signature does not fit, so it was altered");
  }
  out.approved_ = approved_by(*statement);
  out.statement_ = std::move(*statement);
  out.pem_ = std::string(as_text(pem));
  return out;
}

Result<Approval> Approval::sign(const ApprovalStatement& statement, const DigestSigner& signer) {
  CKPTSEAL_TRY(check(statement));
  ByteWriter out;
  out.bytes(encode(statement));
  CKPTSEAL_ASSIGN(const EcdsaSignature release, signer(release_hash_of(statement)));
  out.bytes(release);
  CKPTSEAL_ASSIGN(const EcdsaSignature signature, signer(statement_hash(out.view())));
  out.bytes(signature);
  CKPTSEAL_ASSIGN(const std::string pem, pem_encode(pem_label, out.view()));
  Result<Approval> read_back = read(as_bytes(pem), "The new approval");
  if (read_back.ok()) return read_back;
  return Error{Code::failed,
               "The signing key does not sign as the key that the approval names: give the private "
               "half of that key.",
               0};
}

}  // namespace ckptseal
