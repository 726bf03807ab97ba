// SPDX-License-Identifier: Apache-2.0
//
// The encoding of a policy, and the rules that keep it one a TPM can run.
#include "policies/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "policies/policy_digest.h"

namespace ckptseal {
namespace {

enum class Kind : std::uint8_t { pcrs = 1, approvals = 2, epoch = 3, pin = 4, any = 5, online = 6 };

constexpr std::size_t most_terms = 16;
constexpr std::size_t fewest_branches = 2;
constexpr std::size_t most_branches = 8;  // TPM2_PolicyOR takes no more
constexpr std::size_t most_paths = 64;
constexpr unsigned deepest = 2;
constexpr std::size_t longest_domain = 63;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

Error wrong(std::string_view why) {
  return {Code::usage, fmt::format("The policy cannot be: {}; change it.", why), 0};
}

// ---- Rules ----

// What one path has met so far.
struct Seen {
  bool anything = false;
  bool epoch = false;
  bool pin = false;
  bool online = false;
};

// All ways through what was checked, each as what it has met.
using Ways = std::vector<Seen>;

Result<Ways> check_terms(const Policy& policy, Ways ways, unsigned depth);

Status check_pcrs(const PcrTerm& term) {
  if (!PcrSelection::of_mask(term.pcrs.selection.mask()).ok()) {
    return wrong("it selects PCRs that nothing can be sealed to");
  }
  if (term.pcrs.values.size() != term.pcrs.selection.size()) {
    return wrong("it has not one value for each PCR");
  }
  return {};
}

Status check_approvals(const ApprovalTerm& term, const Seen& seen) {
  if (!is_domain(term.domain)) return wrong("the domain of its approvals is no name");
  if (seen.anything) {
    return wrong(
        "approvals stand behind another term, and a TPM forgets at approvals what it was shown "
        "before");
  }
  return {};
}

Result<Ways> check_any(const AnyTerm& any, const Ways& ways, unsigned depth) {
  if (depth == deepest) return wrong("\"any of\" is nested more than twice");
  if (any.branches.size() < fewest_branches || any.branches.size() > most_branches) {
    return wrong("\"any of\" has not 2 to 8 branches");
  }
  Ways out;
  for (const Policy& branch : any.branches) {
    if (branch.terms.empty()) return wrong("a branch of \"any of\" demands nothing");
    CKPTSEAL_ASSIGN(const Ways through, check_terms(branch, ways, depth + 1));
    out.insert(out.end(), through.begin(), through.end());
  }
  if (out.size() > most_paths) return wrong("there are more than 64 ways through it");
  return out;
}

Result<Ways> check_term(const PolicyTerm& term, Ways ways, unsigned depth) {
  if (const auto* any = std::get_if<AnyTerm>(&term)) return check_any(*any, ways, depth);
  if (const auto* pcrs = std::get_if<PcrTerm>(&term)) CKPTSEAL_TRY(check_pcrs(*pcrs));
  if (const auto* epoch = std::get_if<EpochTerm>(&term)) {
    if (epoch->index >> 24 != 0x01) return wrong("its epoch counter is at no NV index of a TPM");
  }
  for (Seen& seen : ways) {
    if (const auto* approvals = std::get_if<ApprovalTerm>(&term)) {
      CKPTSEAL_TRY(check_approvals(*approvals, seen));
    }
    bool* once = nullptr;
    if (std::holds_alternative<EpochTerm>(term)) once = &seen.epoch;
    if (std::holds_alternative<PinTerm>(term)) once = &seen.pin;
    if (std::holds_alternative<OnlineTerm>(term)) once = &seen.online;
    if (once != nullptr && *once) {
      return wrong("it demands the epoch, the PIN or an online approval twice");
    }
    if (once != nullptr) *once = true;
    seen.anything = true;
  }
  return ways;
}

Result<Ways> check_terms(const Policy& policy, Ways ways, unsigned depth) {
  if (policy.terms.size() > most_terms) return wrong("it has more than 16 terms in one list");
  for (const PolicyTerm& term : policy.terms) {
    CKPTSEAL_ASSIGN(ways, check_term(term, std::move(ways), depth));
  }
  return ways;
}

// One branch twice gives nothing, and is another encoding of the same, whatever the checkpoint.
bool any_is_twice(const Policy& policy) {
  for (const PolicyPath& path : policy_paths(policy, Checkpoint{})) {
    for (const PolicyStep& step : path) {
      const auto* choice = std::get_if<OrStep>(&step);
      if (choice == nullptr) continue;
      std::vector<Digest> sorted = choice->branches;
      std::sort(sorted.begin(), sorted.end());
      if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return true;
    }
  }
  return false;
}

// ---- Encoding ----

void write_point(ByteWriter& out, const EcPoint& point) {
  out.u8(0x04).bytes(point.x).bytes(point.y);
}

void write(ByteWriter& out, const Policy& policy);

void write(ByteWriter& out, const PolicyTerm& term) {
  const auto kind = [&out](Kind value) { out.u8(static_cast<std::uint8_t>(value)); };
  std::visit(Overloaded{[&](const PcrTerm& pcrs) {
                          kind(Kind::pcrs);
                          out.u32(pcrs.pcrs.selection.mask());
                          for (const Digest& value : pcrs.pcrs.values) out.bytes(value);
                        },
                        [&](const ApprovalTerm& approvals) {
                          kind(Kind::approvals);
                          out.u8(static_cast<std::uint8_t>(approvals.purpose));
                          write_point(out, approvals.key);
                          out.u8(static_cast<std::uint8_t>(approvals.domain.size()));
                          out.bytes(as_bytes(approvals.domain));
                        },
                        [&](const EpochTerm& epoch) {
                          kind(Kind::epoch);
                          out.u32(epoch.index).u64(epoch.at_most);
                        },
                        [&](const PinTerm&) { kind(Kind::pin); },
                        [&](const OnlineTerm& online) {
                          kind(Kind::online);
                          write_point(out, online.key);
                        },
                        [&](const AnyTerm& any) {
                          kind(Kind::any);
                          out.u8(static_cast<std::uint8_t>(any.branches.size()));
                          for (const Policy& branch : any.branches) {
                            ByteWriter inner;
                            write(inner, branch);
                            out.u16(static_cast<std::uint16_t>(inner.size())).bytes(inner.view());
                          }
                        }},
             term);
}

void write(ByteWriter& out, const Policy& policy) {
  out.u8(static_cast<std::uint8_t>(policy.terms.size()));
  for (const PolicyTerm& term : policy.terms) write(out, term);
}

// All of these: nullopt for what cannot be read. Whether it may be is for check().
std::optional<Policy> read(ByteReader& in, unsigned depth);

std::optional<PolicyTerm> read_pcrs(ByteReader& in) {
  const Result<PcrSelection> selection = PcrSelection::of_mask(in.u32());
  if (!selection.ok()) return std::nullopt;
  PcrTerm out{{selection.value(), {}}};
  for (std::size_t i = 0; i < selection.value().size(); ++i) {
    out.pcrs.values.push_back(in.array<32>());
  }
  return out;
}

bool read_point(ByteReader& in, EcPoint& out) {
  if (in.u8() != 0x04) return false;
  out.x = in.array<32>();
  out.y = in.array<32>();
  return true;
}

std::optional<PolicyTerm> read_approvals(ByteReader& in) {
  ApprovalTerm out;
  const std::uint8_t purpose = in.u8();
  if (purpose != 1 && purpose != 2) return std::nullopt;
  out.purpose = static_cast<ApprovalPurpose>(purpose);
  if (!read_point(in, out.key)) return std::nullopt;
  const std::size_t length = in.u8();
  out.domain = std::string(as_text(in.view(length)));
  return out;
}

std::optional<PolicyTerm> read_any(ByteReader& in, unsigned depth) {
  if (depth == deepest) return std::nullopt;
  AnyTerm out;
  const unsigned count = in.u8();
  if (count > most_branches) return std::nullopt;
  for (unsigned i = 0; i < count; ++i) {
    ByteReader inner(in.view(in.u16()));
    std::optional<Policy> branch = read(inner, depth + 1);
    if (!branch || !inner.at_end()) return std::nullopt;
    out.branches.push_back(std::move(*branch));
  }
  return out;
}

std::optional<PolicyTerm> read_term(ByteReader& in, unsigned depth) {
  switch (static_cast<Kind>(in.u8())) {
    case Kind::pcrs:
      return read_pcrs(in);
    case Kind::approvals:
      return read_approvals(in);
    case Kind::epoch: {
      EpochTerm out;
      out.index = in.u32();
      out.at_most = in.u64();
      return out;
    }
    case Kind::pin:
      return PinTerm{};
    case Kind::online: {
      OnlineTerm out;
      if (!read_point(in, out.key)) return std::nullopt;
      return out;
    }
    case Kind::any:
      return read_any(in, depth);
  }
  return std::nullopt;
}

std::optional<Policy> read(ByteReader& in, unsigned depth) {
  Policy out;
  const std::size_t count = in.u8();
  if (!in.ok() || count > most_terms) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<PolicyTerm> term = read_term(in, depth);
    if (!term || !in.ok()) return std::nullopt;
    out.terms.push_back(std::move(*term));
  }
  return out;
}

template <typename Term>
bool has(const Policy& policy) {
  return std::any_of(policy.terms.begin(), policy.terms.end(), [](const PolicyTerm& term) {
    if (std::holds_alternative<Term>(term)) return true;
    const auto* any = std::get_if<AnyTerm>(&term);
    return any != nullptr && std::any_of(any->branches.begin(), any->branches.end(), has<Term>);
  });
}

}  // namespace

std::string_view purpose_word(ApprovalPurpose purpose) {
  return purpose == ApprovalPurpose::restore ? "restore" : "migrate";
}

bool is_domain(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= longest_domain && alphanumeric(text.front()) &&
         alphanumeric(text.back()) && std::all_of(text.begin(), text.end(), [&](char c) {
           return alphanumeric(c) || c == '.' || c == '-';
         });
}

Status Policy::check() const {
  CKPTSEAL_ASSIGN(const Ways ways, check_terms(*this, Ways(1), 0));
  if (ways.size() > most_paths) return wrong("there are more than 64 ways through it");
  if (any_is_twice(*this)) return wrong("two branches of one \"any of\" demand the same");
  if (serialize().size() > largest_policy) return wrong("it is longer than 8192 bytes");
  return {};
}

Bytes Policy::serialize() const {
  ByteWriter out;
  write(out, *this);
  return out.take();
}

Result<Policy> Policy::parse(ByteView bytes) {
  const Error not_a_policy{Code::integrity,
                           "A release policy is damaged, altered or of a newer ckpt-seal: use an "
                           "undamaged copy, or update ckpt-seal.",
                           0};
  if (bytes.size() > largest_policy) return not_a_policy;
  ByteReader in(bytes);
  std::optional<Policy> out = read(in, 0);
  if (!out || !in.at_end() || !out->check().ok()) return not_a_policy;
  return std::move(*out);
}

bool Policy::has_pin() const { return has<PinTerm>(*this); }
bool Policy::has_epoch() const { return has<EpochTerm>(*this); }
bool Policy::has_pcr_values() const { return has<PcrTerm>(*this); }
bool Policy::has_online() const { return has<OnlineTerm>(*this); }

bool Policy::can_migrate() const {
  return std::any_of(terms.begin(), terms.end(), [](const PolicyTerm& term) {
    if (const auto* approval = std::get_if<ApprovalTerm>(&term)) {
      return approval->purpose == ApprovalPurpose::migrate;
    }
    const auto* any = std::get_if<AnyTerm>(&term);
    return any != nullptr && std::any_of(any->branches.begin(), any->branches.end(),
                                         [](const Policy& branch) { return branch.can_migrate(); });
  });
}

bool Policy::always_online() const {
  return std::any_of(terms.begin(), terms.end(), [](const PolicyTerm& term) {
    if (std::holds_alternative<OnlineTerm>(term)) return true;
    const auto* any = std::get_if<AnyTerm>(&term);
    return any != nullptr &&
           std::all_of(any->branches.begin(), any->branches.end(),
                       [](const Policy& branch) { return branch.always_online(); });
  });
}

}  // namespace ckptseal
