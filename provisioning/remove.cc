// SPDX-License-Identifier: Apache-2.0
//
// Takes back what provision_host() did: first what only tpm/keys knows how to find, last the
// folders.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/private_files.h"
#include "keymgr/pkcs11/pin_file.h"
#include "provisioning/provision.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;

bool is_there(const std::string& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0;
}

// A file, a link or a whole folder; links are not followed.
Status remove_tree(const std::string& path) {
  std::error_code code;
  fs::remove_all(path, code);
  if (code) return system_error(fmt::format("Cannot remove {}", path), code.value());
  return {};
}

Status remove_from_tpm(const State& state, const RemovalRequest& request, const TpmOpener& open_tpm,
                       RemovalOutcome& outcome) {
  CKPTSEAL_ASSIGN(const std::optional<TpmKeys> keys, state.keys());
  CKPTSEAL_ASSIGN(const std::optional<std::string> tcti, state.tcti());
  if (!keys.has_value() || !tcti.has_value()) {
    outcome.warnings.push_back(fmt::format(
        "{} does not say which keys of which TPM are this host's, so none was removed "
        "from a TPM; if provisioning had been cut short, provision once more and remove "
        "then.",
        state.tpm_folder()));
    return {};
  }
  CKPTSEAL_ASSIGN(const std::unique_ptr<ProvisioningTpm> tpm,
                  open_tpm(state, *tcti, request.dry_run));
  CKPTSEAL_ASSIGN(outcome.steps, tpm->plan_removal(*keys));
  if (request.dry_run) return {};
  return tpm->remove(*keys);
}

Status remove_from_token(const HostTokenState& token, const RemovalRequest& request,
                         RemovalOutcome& outcome) {
  CKPTSEAL_ASSIGN(const TokenUri uri, TokenUri::parse(token.uri));
  CKPTSEAL_ASSIGN(HostToken opened,
                  HostToken::open(uri, token.id, pin_of(uri),
                                  request.dry_run ? HostToken::Use::sign : HostToken::Use::change));
  CKPTSEAL_ASSIGN(const auto steps, opened.plan());
  for (const HostTokenStep& step : steps) outcome.steps.push_back({step.what, 0, step.exists});
  return request.dry_run ? Status() : opened.remove_keys();
}

}  // namespace

Result<RemovalOutcome> remove_host(const State& state, const RemovalRequest& request,
                                   const TpmOpener& open_tpm) {
  CKPTSEAL_TRY(state.check());
  RemovalOutcome outcome;
  if (request.without_tpm) {
    outcome.warnings.emplace_back(
        "The keys in the TPM or token, if there are any, were left where they are.");
  } else if (const auto token = state.token(); !token.ok() || token.value()) {
    if (!token.ok()) return token.error();
    CKPTSEAL_TRY(remove_from_token(*token.value(), request, outcome));
  } else {
    CKPTSEAL_TRY(remove_from_tpm(state, request, open_tpm, outcome));
  }
  std::vector<std::string> paths = {state.record_path(),     state.uses_path(), state.keys_path(),
                                    state.soft_tpm_folder(), state.tcti_path(), state.token_path(),
                                    state.lock_path()};
  if (request.trusted) paths.push_back(state.trusted_folder());
  paths.push_back(state.tpm_folder());  // last: State::check() wants it, to run again after a crash
  for (const std::string& path : paths) {
    if (!is_there(path)) continue;
    outcome.paths.push_back(path);
    if (!request.dry_run) CKPTSEAL_TRY(remove_tree(path));
  }
  if (request.dry_run) return outcome;
  // The folder itself stays when something else is in it: trusted/, or what later verbs keep there.
  if (rmdir(state.folder().c_str()) == 0) {
    outcome.paths.push_back(state.folder());
  } else if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT) {
    return system_error(fmt::format("Cannot remove {}", state.folder()), errno);
  }
  return outcome;
}

}  // namespace ckptseal
