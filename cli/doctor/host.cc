// SPDX-License-Identifier: Apache-2.0
//
// doctor's look at the state folder, its journal, and the TPM.
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>

#include "cli/doctor/doctor.h"
#include "cli/host_access.h"
#include "cli/journal.h"
#include "cli/opening/use_counting.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

Finding check_state_folder(const HostAccess& host) {
  const State& state = host.state();
  const Status checked = state.check();
  if (!checked.ok()) return problem("state_folder", checked.error().message);
  struct statfs info = {};
  if (statfs(state.folder().c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC) {
    return problem(
        "state_folder",
        fmt::format("{} is on a tmpfs and is gone after a reboot; use a disk.", state.folder()));
  }
  return hint(
      "state_folder",
      fmt::format("Whether {} lies on encrypted or authenticated storage cannot be told from "
                  "here; see that it does, for it says whom this host trusts.",
                  state.folder()));
}

Finding check_record(const HostAccess& host) {
  if (host.record().expired(now_seconds())) {
    return problem(
        "host_record",
        "The record of this host has expired; run 'ckpt-seal provision' and hand the new "
        "record out.");
  }
  return good("host_record",
              fmt::format("This host is {}, fingerprint {}.", host.record().record().name,
                          to_hex(host.record().fingerprint())));
}

Finding check_pcrs(const HostAccess& host, EsysTpm& tpm) {
  const PcrValues& anchor = host.record().record().policy_anchor;
  const Result<PcrValues> now = tpm.read_pcrs(anchor.selection);
  if (!now.ok()) return problem("pcrs", now.error().message);
  const std::vector<unsigned> differing = anchor.differing(now.value());
  if (!differing.empty() && !host.record().record().release_policy().has_pcr_values()) {
    return good("pcrs",
                fmt::format("PCR {} changed since this host was provisioned; what is sealed "
                            "for it does not bind to their values.",
                            fmt::join(differing, ", ")));
  }
  if (!differing.empty()) {
    return problem(
        "pcrs", fmt::format("PCR {} changed since this host was provisioned, so what was sealed "
                            "for it does not open now; boot the state of then, or run 'ckpt-seal "
                            "provision' and hand the new record out.",
                            fmt::join(differing, ", ")));
  }
  if (anchor.all_zero()) {
    return hint("pcrs", "All selected PCRs are zero: the state of this host is not measured.");
  }
  return good("pcrs", "The host is in the state that it was provisioned in.");
}

// Its clause is about a file elsewhere.
Finding check_record_of_uses(const HostAccess& host, EsysTpm& tpm) {
  const Status checked = check_uses(host, tpm.connection());
  if (checked.ok()) {
    return good("uses", "Restores of checkpoints that have a limit of them can be counted.");
  }
  return problem(
      "uses",
      with_subject("What has a limit of restores is refused here", checked.error()).message);
}

void check_tpm(const HostAccess& host, Findings& out) {
  const Result<TpmSession> session = host.start_tpm();
  if (!session.ok()) return out.push_back(problem("tpm", session.error().message));
  Result<EsysTpm> tpm = host.connect(session.value());
  if (!tpm.ok()) return out.push_back(problem("tpm", tpm.error().message));
  // A signature proves that it is the pinned TPM: it is verified with the pinned key.
  const Result<EcdsaSignature> signature = tpm.value().sign(Sha256::of(as_bytes("doctor")));
  if (!signature.ok()) return out.push_back(problem("tpm", signature.error().message));
  out.push_back(host.record().record().software
                    ? hint("tpm",
                           "The TPM answers; it is a software one and protects nothing against "
                           "root.")
                    : good("tpm", "The TPM answers and is the one of this host."));
  out.push_back(check_pcrs(host, tpm.value()));
  out.push_back(check_record_of_uses(host, tpm.value()));
}

// As with a TPM, a signature proves that it is the one of this host.
Finding check_token(const HostAccess& host) {
  const Result<EcdsaSignature> signature = host.sign(Sha256::of(as_bytes("doctor")));
  if (!signature.ok()) return problem("token", signature.error().message);
  return hint("token", host.record().record().software
                           ? "The token answers and is the one of this host; it measures nothing, "
                             "and does not say that it is a device."
                           : "The token answers and is the one of this host; it measures nothing, "
                             "so what is sealed for this host opens in any state of it.");
}

Finding check_journal(const Globals& globals) {
  const Status checked = Journal::check(globals.state);
  if (checked.ok())
    return good("journal", "What is done to checkpoints can be told of in the journal.");
  return problem("journal",
                 fmt::format("Nothing can be dumped, restored, rewrapped or shredded: {}",
                             checked.error().message));
}

}  // namespace

Findings examine_host(const Globals& globals) {
  const Result<HostAccess> host = HostAccess::open(globals);
  if (!host.ok()) return {problem("state_folder", host.error().message)};
  if (const Status ready = host.value().require_provisioned(); !ready.ok()) {
    return {problem("provisioned", ready.error().message)};
  }
  Findings out = {check_state_folder(host.value()), check_journal(globals),
                  check_record(host.value())};
  if (host.value().has_token()) {
    out.push_back(check_token(host.value()));
  } else {
    check_tpm(host.value(), out);
  }
  return out;
}

}  // namespace ckptseal
