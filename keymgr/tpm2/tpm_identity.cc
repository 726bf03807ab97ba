// SPDX-License-Identifier: Apache-2.0
//
// A policy may have several paths, and several approvals may be at hand. Those that want neither
// online approval nor PIN come first, so that nobody is asked in vain and a TPM that is locked does
// not matter to them; among them the one that served last. Then the PCRs are read, and what they
// rule out is not tried.
#include "keymgr/tpm2/tpm_identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "keymgr/refusals.h"
#include "keymgr/tpm2/return_codes.h"

namespace ckptseal {
namespace {

std::string list_pcrs(const std::vector<unsigned>& pcrs) {
  std::string out = "PCR ";
  for (std::size_t i = 0; i < pcrs.size(); ++i) {
    if (i > 0) out += i + 1 == pcrs.size() ? " and " : ", ";
    const std::string_view purpose = pcr_purpose(pcrs[i]);
    out += purpose.empty() ? fmt::format("{}", pcrs[i]) : fmt::format("{} ({})", pcrs[i], purpose);
  }
  return out + (pcrs.size() == 1 ? " differs" : " differ");
}

const ApprovalTerm* approvals_of(const PolicyPath& path) {
  return path.empty() ? nullptr : std::get_if<ApprovalTerm>(&path.front());
}

bool wants_pin(const PolicyPath& path) {
  return std::any_of(path.begin(), path.end(),
                     [](const PolicyStep& step) { return std::holds_alternative<PinTerm>(step); });
}

const OnlineStep* online_of(const PolicyPath& path) {
  for (const PolicyStep& step : path) {
    if (const auto* online = std::get_if<OnlineStep>(&step)) return online;
  }
  return nullptr;
}

// What the PCRs must be for a path, with its approval.
std::vector<const PcrValues*> demands(const PolicyPath& path, const Approval* approval) {
  std::vector<const PcrValues*> out;
  if (approval != nullptr) out.push_back(&approval->statement().pcrs);
  for (const PolicyStep& step : path) {
    if (const auto* term = std::get_if<PcrTerm>(&step)) out.push_back(&term->pcrs);
  }
  return out;
}

// The PCRs that are not as demanded, ascending. `current` has all of them.
std::vector<unsigned> differing(const std::vector<const PcrValues*>& demanded,
                                const PcrValues& current) {
  std::uint32_t mask = 0;
  const std::vector<unsigned> read = current.selection.indices();
  for (const PcrValues* values : demanded) {
    PcrValues same{values->selection, {}};
    for (std::size_t i = 0; i < read.size(); ++i) {
      if (same.selection.contains(read[i])) same.values.push_back(current.values[i]);
    }
    for (const unsigned pcr : values->differing(same)) mask |= 1U << pcr;
  }
  std::vector<unsigned> out;
  for (unsigned pcr = 0; pcr < PcrSelection::count; ++pcr) {
    if ((mask >> pcr & 1U) != 0) out.push_back(pcr);
  }
  return out;
}

// What was demanded is what they were.
void tell_state(const std::vector<const PcrValues*>& demanded,
                const std::function<void(const PcrState&)>& released) {
  PcrState state;
  for (const PcrValues* values : demanded) {
    const std::vector<unsigned> pcrs = values->selection.indices();
    for (std::size_t i = 0; i < pcrs.size(); ++i) state.pcrs[pcrs[i]] = values->values[i];
  }
  if (!state.pcrs.empty()) released(state);
}

// A wrong PIN was tried, and a TPM that is locked is no matter of the state.
bool says_more_than_the_state(const Error& error) {
  return error.code == Code::locked || error.code == Code::unavailable || is_wrong_pin(error);
}

// The first of the refusals may be of the one that was meant.
Error no_approval(const ApprovalTerm& term, const std::vector<std::string>& refusals) {
  std::string why = "is at hand";
  if (!refusals.empty()) {
    std::string_view first = refusals.front();
    why = fmt::format("can be used ({})", first.substr(0, first.find_last_not_of('.') + 1));
  }
  return {Code::policy,
          fmt::format("No approval for the domain \"{}\" by the authority of this file {}: put one "
                      "beside the file or into approvals/ of the state folder.",
                      term.domain, why),
          0};
}

Error nobody_to_ask() {
  return {Code::policy,
          "The policy of this host's slot wants an online approval for each opening: name the "
          "command that gets one with --approver, for example 'ckpt-seal authority answer' at the "
          "authority's end of ssh.",
          0};
}

// Of the PCRs that stand in the way on the shortest way.
Error not_in_state(const std::vector<unsigned>& pcrs, const Approval* nearest) {
  if (pcrs.empty()) {
    return {Code::policy,
            "The TPM refused the state of this host, which by now is the approved one: try again.",
            0};
  }
  if (nearest == nullptr) {
    return {Code::policy,
            fmt::format("This host is not in the state that the file was sealed for: {}; boot the "
                        "approved state, or open the file with its recovery passphrase.",
                        list_pcrs(pcrs)),
            0};
  }
  const std::string& label = nearest->statement().label;
  return {Code::policy,
          fmt::format("The state of this host is approved by nobody for the domain \"{}\": {} from "
                      "the nearest approval{}; have the authority approve it, or boot an approved "
                      "one.",
                      nearest->statement().term.domain, list_pcrs(pcrs),
                      label.empty() ? "" : fmt::format(" (\"{}\")", label)),
          0};
}

}  // namespace

Result<std::optional<Secret>> Tpm2Identity::unwrap(const SlotBody& slot, const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return std::optional<Secret>();
  // Whose it is comes first: another host's slot may be of a form that this version cannot read.
  const std::optional<TpmName> parent = Tpm2Slot::parent_of(slot.bytes);
  if (parent && *parent != parent_) return std::optional<Secret>();

  CKPTSEAL_ASSIGN(const Tpm2Slot parsed, Tpm2Slot::parse(slot.bytes, of));
  if (gone_) return *gone_;
  if (++tried_ > most_tried) {
    return Error{Code::failed,
                 "This file has more slots for this host's TPM than one run tries: open it another "
                 "way, or have it sealed anew.",
                 0};
  }
  Result<Secret> released = release(parsed, of);
  // An approver that is gone is no TPM that is.
  if (!released.ok() && released.error().code == Code::unavailable && !approver_failed_) {
    gone_ = released.error();
  }
  CKPTSEAL_ASSIGN(Secret unsealed, std::move(released));
  if (unsealed.size() != data_key_size) {
    return Error{
        Code::integrity,
        "A TPM slot of this file holds no data key: the file is damaged or altered, so use "
        "another copy.",
        0};
  }
  return std::optional<Secret>(std::move(unsealed));
}

// A key that could be had again is not used. What the TPM released in vain may be asked for again.
Status Tpm2Identity::before_use() {
  if (!help_.cap_pcr) return {};
  if (released_) return tpm_.cap(*help_.cap_pcr);
  return Error{Code::usage,
               fmt::format("What opens this file is not this host's TPM, so capping PCR {} would "
                           "not keep it from being opened again: leave --cap-pcr out.",
                           *help_.cap_pcr),
               0};
}

Result<std::vector<Tpm2Identity::Try>> Tpm2Identity::tries(const std::vector<PolicyPath>& paths) {
  std::vector<Try> out;
  const ApprovalTerm* wanting = nullptr;
  for (const PolicyPath& path : paths) {
    const ApprovalTerm* term = approvals_of(path);
    if (term == nullptr) {
      out.push_back({&path, nullptr});
      continue;
    }
    if (term->purpose != ApprovalPurpose::restore) continue;
    wanting = term;
    if (!approvals_) {
      approvals_.emplace();
      if (help_.approvals) approvals_ = help_.approvals();
    }
    for (const Approval& approval : approvals_->usable) {
      if (approval.statement().term == *term) out.push_back({&path, &approval});
    }
  }
  if (!out.empty()) return out;
  if (wanting != nullptr) return no_approval(*wanting, approvals_->refusals);
  return Error{Code::policy,
               "The policy of this host's slot lets nobody open it, for it is for migration alone: "
               "use another slot.",
               0};
}

// Asked for once a run, and a wrong one is tried once: a TPM counts them, and another slot would
// have the same tried again.
Result<const Secret*> Tpm2Identity::pin_for(const CheckpointId& id) {
  if (pin_refused_) return *pin_refused_;
  if (!pin_) {
    if (!help_.pin) {
      pin_refused_ =
          Error{Code::failed, "The slot of this host wants its PIN: name a way to ask for it.", 0};
      return *pin_refused_;
    }
    Result<Secret> asked = help_.pin();
    if (!asked.ok()) pin_refused_ = asked.error();
    CKPTSEAL_ASSIGN(pin_, std::move(asked));
  }
  if (!auth_ || auth_->first != id) {
    CKPTSEAL_ASSIGN(Secret value, pin_auth_value(*pin_, id));
    auth_.emplace(id, std::move(value));
  }
  return &auth_->second;
}

// What comes back is checked here, where the reasons can be told apart, before the TPM is shown it.
Result<OnlineAnswer> Tpm2Identity::ask(OnlineRequest request) {
  if (asked_) {
    return Error{
        Code::no_slot,
        "A slot of this file wants an online approval, and one was asked for already: one is "
        "asked for in a run, so try again.",
        0};
  }
  asked_ = true;
  request.who = help_.who;
  CKPTSEAL_ASSIGN(const std::string pem, request.pem());
  const Result<Bytes> bytes = help_.approver(as_bytes(pem));
  approver_failed_ = !bytes.ok();
  if (!bytes.ok()) return bytes.error();
  CKPTSEAL_ASSIGN(const OnlineAnswer answer,
                  OnlineAnswer::parse(bytes.value(), "The answer of the approver"));
  CKPTSEAL_TRY(answer.check(request));
  return answer;
}

Result<Secret> Tpm2Identity::attempt(const Tpm2Slot& slot, const CheckpointId& id,
                                     const Try& chosen) {
  PolicyRun run(*chosen.path);
  run.approval = chosen.approval;
  if (wants_pin(*chosen.path)) {
    CKPTSEAL_ASSIGN(run.pin, pin_for(id));
  }
  run.ask = [this](const OnlineRequest& request) { return ask(request); };
  // Kept when it was of use, so that the one that served last is known.
  Bytes ticket;
  if (chosen.approval != nullptr && help_.tickets != nullptr) {
    ticket = run.ticket = help_.tickets->find(*chosen.approval);
    run.keep_ticket = [&ticket](const Bytes& fresh) { ticket = fresh; };
  }
  Result<Secret> out = tpm_.unseal(slot.object, run);
  if (!out.ok()) {
    const Error& error = out.error();
    if (run.pin != nullptr && (is_wrong_pin(error) || error.code == Code::locked)) {
      pin_refused_ = error;
    }
    return out;
  }
  if (!ticket.empty()) help_.tickets->keep(*chosen.approval, ticket);
  released_ = true;
  if (help_.released) tell_state(demands(*chosen.path, chosen.approval), help_.released);
  return out;
}

// Every other way through the policy must end with that PCR, too.
Status Tpm2Identity::check_cap(const std::vector<Try>& all) const {
  if (!help_.cap_pcr) return {};
  for (const Try& t : all) {
    const std::vector<const PcrValues*> bound = demands(*t.path, t.approval);
    const bool ends = std::any_of(bound.begin(), bound.end(), [this](const PcrValues* values) {
      return values->selection.contains(*help_.cap_pcr);
    });
    if (!ends) {
      return Error{Code::usage,
                   fmt::format("Capping PCR {} would not keep this file from being opened again, "
                               "for there is a way through its policy that does not bind it: name "
                               "another PCR, or leave --cap-pcr out.",
                               *help_.cap_pcr),
                   0};
    }
  }
  return {};
}

Result<Secret> Tpm2Identity::release(const Tpm2Slot& slot, const Checkpoint& of) {
  const std::vector<PolicyPath> paths = policy_paths(slot.policy, of);
  CKPTSEAL_ASSIGN(std::vector<Try> all, tries(paths));
  CKPTSEAL_TRY(check_cap(all));
  if (!help_.approver) {
    std::erase_if(all, [](const Try& t) { return online_of(*t.path) != nullptr; });
    if (all.empty()) return nobody_to_ask();
  }
  // docs/policies.md, "Ways"; of several approvals first the one that served last.
  const auto rank = [this](const Try& t) {
    const bool has_age = t.approval != nullptr && help_.tickets != nullptr;
    return std::tuple(online_of(*t.path) != nullptr, wants_pin(*t.path),
                      has_age ? help_.tickets->age(*t.approval) : SIZE_MAX);
  };
  std::stable_sort(all.begin(), all.end(),
                   [&](const Try& a, const Try& b) { return rank(a) < rank(b); });
  const bool served_before = all.front().approval != nullptr && help_.tickets != nullptr &&
                             !help_.tickets->find(*all.front().approval).empty();
  Refusals refusals;
  // Whether another way may still be open.
  const auto go_on = [&](const Try& t, const Error& error) {
    refusals.add(error);
    return error.code == Code::policy || error.code == Code::revoked ||
           (wants_pin(*t.path) && pin_refused_) || (online_of(*t.path) != nullptr && asked_);
  };
  // Nothing but the state was in its way, which has changed meanwhile.
  const auto of_its_state = [&](const Try& t, const Error& error) {
    return error.code == Code::policy && !(wants_pin(*t.path) && pin_refused_) &&
           online_of(*t.path) == nullptr;
  };
  std::optional<Error> first;  // of the way that was taken before the PCRs were read
  // Nobody is asked for an approval that the PCRs make worthless.
  const bool asks = online_of(*all.front().path) != nullptr;
  if (!asks && (all.size() == 1 || served_before)) {
    Result<Secret> out = attempt(slot, of.id, all.front());
    if (out.ok() || !go_on(all.front(), out.error())) return out;
    first = std::move(out).error();
  }

  std::uint32_t mask = 0;
  for (const Try& t : all) {
    for (const PcrValues* values : demands(*t.path, t.approval)) mask |= values->selection.mask();
  }
  PcrValues current;
  if (mask != 0) {
    CKPTSEAL_ASSIGN(const PcrSelection selection, PcrSelection::of_mask(mask));
    Result<PcrValues> read = tpm_.read_pcrs(selection);
    if (!read.ok()) return first ? *first : std::move(read).error();
    current = std::move(read).value();
  }
  std::optional<std::vector<unsigned>> in_the_way;
  const Approval* nearest = nullptr;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<unsigned> pcrs = differing(demands(*all[i].path, all[i].approval), current);
    std::optional<Error> refusal = i == 0 ? first : std::nullopt;
    if (pcrs.empty() && !refusal) {
      Result<Secret> out = attempt(slot, of.id, all[i]);
      if (out.ok() || !go_on(all[i], out.error())) return out;
      refusal = std::move(out).error();
    }
    // What was refused in this very state is no state to boot.
    if (pcrs.empty() && !of_its_state(all[i], *refusal)) continue;
    if (in_the_way && in_the_way->size() <= pcrs.size()) continue;
    in_the_way = std::move(pcrs);
    nearest = all[i].approval;
  }
  const std::optional<Error>& heaviest = refusals.heaviest();
  if (!in_the_way || (heaviest && says_more_than_the_state(*heaviest))) return *heaviest;
  Error explained = not_in_state(*in_the_way, nearest);
  explained.cause = heaviest ? heaviest->cause : 0;
  return explained;
}

}  // namespace ckptseal
