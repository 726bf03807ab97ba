// SPDX-License-Identifier: Apache-2.0
//
// Sets up a host with a token. Which keys are its own is written down before they are made, so that
// a run after a crash finds them again. docs/state.md, "token".
#include <fmt/format.h>

#include <algorithm>

#include "base/file_lock.h"
#include "base/private_files.h"
#include "keymgr/pkcs11/pin_file.h"
#include "provisioning/record_update.h"
#include "provisioning/statement.h"

namespace ckptseal {
namespace {

constexpr std::chrono::seconds patience(30);

struct Present {
  std::optional<HostTokenState> token;
  std::optional<SignedHostRecord> record;
};

Result<Present> read_present(const State& state) {
  Present out;
  if (const Status there = state.check(); !there.ok()) {
    if (there.error().cause == ENOENT) return out;
    return there.error();
  }
  CKPTSEAL_ASSIGN(out.token, state.token());
  CKPTSEAL_ASSIGN(out.record, state.record());
  CKPTSEAL_ASSIGN(const auto keys, state.keys());
  CKPTSEAL_ASSIGN(const auto tcti, state.tcti());
  if (keys || tcti || (out.record && !out.record->record().token)) {
    return Error{Code::usage,
                 fmt::format("{} is the state of a host with a TPM; name another folder with "
                             "--state, or start anew with 'ckpt-seal provision --remove', after "
                             "which nothing that was sealed for this host opens here.",
                             state.folder()),
                 0};
  }
  return out;
}

Result<HostTokenState> wanted_token(const Present& present, const std::optional<std::string>& uri) {
  HostTokenState out = present.token.value_or(HostTokenState());
  if (!present.token) {
    CKPTSEAL_ASSIGN(out.id, (random_array<HostTokenId().size()>()));
  }
  if (uri) out.uri = *uri;
  return out;
}

// With a record the keys have to be there: new ones would open nothing of what was sealed.
Result<HostTokenKeys> keys_of(HostToken& token, const ProvisionOutcome& outcome) {
  const bool all = std::all_of(outcome.steps.begin(), outcome.steps.end(),
                               [](const ProvisionStep& step) { return step.exists; });
  const Error another = {
      Code::failed,
      "The token does not have the keys of this host: name the right one with --hsm, or start anew "
      "with 'ckpt-seal provision --remove', after which nothing that was sealed for this host "
      "opens "
      "here.",
      0};
  if (outcome.record && !all) return another;
  CKPTSEAL_ASSIGN(HostTokenKeys keys, token.make_keys());
  if (!outcome.record) return keys;
  // The last signing key is the host's identity: with another one it would be another host.
  const TokenKeys& known = *outcome.record->record().token;
  if (known.storage_key != keys.storage_key || known.signing_keys.back() != keys.signing_key) {
    return another;
  }
  return keys;
}

// One at a time, as the lock of a TPM sees to elsewhere.
Result<UniqueFd> lock_state(const State& state) {
  const std::string what = fmt::format("the state folder {}", state.folder());
  CKPTSEAL_ASSIGN(UniqueFd folder, open_private_folder(state.folder(), Guard::no_access, what));
  CKPTSEAL_ASSIGN(const bool locked, lock_file(folder.get(), patience, what));
  if (locked) return folder;
  return Error{Code::unavailable,
               fmt::format("Another ckpt-seal is provisioning in {}; try again when it is done.",
                           state.folder()),
               0};
}

}  // namespace

Result<ProvisionOutcome> provision_token_host(const State& state, const ProvisionRequest& request,
                                              const std::optional<std::string>& uri) {
  CKPTSEAL_ASSIGN(const Present before, read_present(state));
  CKPTSEAL_TRY(check_request(request, before.record));
  UniqueFd locked;
  if (!request.dry_run) {
    CKPTSEAL_TRY(state.create());
    CKPTSEAL_ASSIGN(locked, lock_state(state));
  }
  CKPTSEAL_ASSIGN(const Present present, read_present(state));
  CKPTSEAL_ASSIGN(const HostTokenState wanted, wanted_token(present, uri));
  CKPTSEAL_ASSIGN(const TokenUri parsed, TokenUri::parse(wanted.uri));
  CKPTSEAL_ASSIGN(HostToken token,
                  HostToken::open(parsed, wanted.id, pin_of(parsed),
                                  request.dry_run ? HostToken::Use::sign : HostToken::Use::change));
  ProvisionOutcome outcome;
  outcome.record = present.record;
  CKPTSEAL_ASSIGN(const auto steps, token.plan());
  for (const HostTokenStep& step : steps) outcome.steps.push_back({step.what, 0, step.exists});
  if (request.dry_run) return outcome;

  if (!present.token) CKPTSEAL_TRY(state.write_token(wanted));
  CKPTSEAL_ASSIGN(const HostTokenKeys keys, keys_of(token, outcome));
  if (present.token && present.token->uri != wanted.uri) CKPTSEAL_TRY(state.write_token(wanted));
  CKPTSEAL_ASSIGN(const HostRecord statement,
                  make_token_statement(request, keys, token, present.record));
  CKPTSEAL_TRY(bring_record_up_to_date(
      state, request, statement, [&](const Digest& digest) { return token.sign(digest); },
      outcome));
  outcome.warnings = statement_warnings(statement);
  return outcome;
}

}  // namespace ckptseal
