// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal doctor`: what on this machine would stop sealing or opening, and the remedy.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/magic.h>

#include "cli/host_access.h"

namespace ckptseal {
namespace {

enum class Verdict : std::uint8_t { good, hint, problem };

struct Finding {
  std::string check;
  Verdict verdict = Verdict::good;
  std::string sentence;
};

constexpr std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::good:
      return "good";
    case Verdict::hint:
      return "hint";
    case Verdict::problem:
      return "problem";
  }
  return "";
}

Finding good(const char* check, std::string sentence) {
  return {check, Verdict::good, std::move(sentence)};
}
Finding hint(const char* check, std::string sentence) {
  return {check, Verdict::hint, std::move(sentence)};
}
Finding problem(const char* check, std::string sentence) {
  return {check, Verdict::problem, std::move(sentence)};
}

Finding check_locked_memory() {
  const Result<Secret> secret = Secret::make(32);
  if (!secret.ok()) return problem("locked_memory", secret.error().message);
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (geteuid() != 0 && limit.rlim_cur != RLIM_INFINITY) {
    return hint(
        "locked_memory",
        "Without root only keys are locked in memory, not the buffers of the helper; run as "
        "root, raise 'ulimit -l', or use no swap.");
  }
  return good("locked_memory", "Keys and the helper are locked in memory.");
}

Finding check_memfd_secret() {
  const UniqueFd fd(static_cast<int>(syscall(SYS_memfd_secret, 0)));
  if (fd.valid()) return good("memfd_secret", "The kernel hides keys even from root.");
  return hint(
      "memfd_secret",
      "The kernel has no memfd_secret, so root can read keys from the helper while it runs; "
      "use Linux 6.5 or newer, or boot with secretmem.enable=1.");
}

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

void check_tpm(const HostAccess& host, std::vector<Finding>& out) {
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
}

Result<Outcome> examine(const Globals& globals) {
  std::vector<Finding> findings = {check_locked_memory(), check_memfd_secret()};
  const Result<HostAccess> host = HostAccess::open(globals);
  if (!host.ok()) {
    findings.push_back(problem("state_folder", host.error().message));
  } else if (const Status ready = host.value().require_provisioned(); !ready.ok()) {
    findings.push_back(problem("provisioned", ready.error().message));
  } else {
    findings.push_back(check_state_folder(host.value()));
    findings.push_back(check_record(host.value()));
    check_tpm(host.value(), findings);
  }
  Outcome outcome;
  Json& out = outcome.json["findings"] = Json::array();
  for (const Finding& finding : findings) {
    out.push_back({{"check", finding.check},
                   {"verdict", word(finding.verdict)},
                   {"message", finding.sentence}});
    outcome.text += fmt::format("{:8} {}\n", word(finding.verdict), finding.sentence);
    if (finding.verdict == Verdict::problem) outcome.exit_code = static_cast<int>(Code::failed);
  }
  return outcome;
}

}  // namespace

void add_doctor_verb(const Verb& command) {
  const Verb verb = command.verb(
      "doctor", "What would stop sealing or opening here, and the remedy", "ckpt-seal doctor");
  verb.does([](const Globals& globals, Console&) { return examine(globals); });
}

}  // namespace ckptseal
