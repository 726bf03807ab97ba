// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal doctor`: what on this machine would stop sealing, opening, dumping or restoring, and
// the remedy.
#include <fmt/format.h>

#include "cli/criu_options.h"
#include "cli/doctor/doctor.h"
#include "cli/verbs/verbs.h"

namespace ckptseal {
namespace {

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

Result<Outcome> examine(const Globals& globals, const std::string& criu) {
  Findings findings = examine_machine();
  for (Findings& more : std::vector<Findings>{examine_host(globals), examine_criu(criu)}) {
    findings.insert(findings.end(), more.begin(), more.end());
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
  auto criu = std::make_shared<std::string>();
  const Verb verb =
      command.verb("doctor", "What would stop ckpt-seal here, and the remedy", "ckpt-seal doctor");
  add_criu_option(verb, *criu);
  verb.does([criu](const Globals& globals, Console&) { return examine(globals, *criu); });
}

}  // namespace ckptseal
