// SPDX-License-Identifier: Apache-2.0
//
// What `ckpt-seal doctor` finds: the machine, this host's state and TPM, and CRIU, each looked at
// by a file of its own. docs/json.md, "doctor".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace ckptseal {

// Good: as it should be. Hint: it works, but protects less or does less than one may think.
// Problem: it would stop a verb.
enum class Verdict : std::uint8_t { good, hint, problem };

struct Finding {
  std::string check;
  Verdict verdict = Verdict::good;
  std::string sentence;  // with the remedy
};
using Findings = std::vector<Finding>;

// Memory, swap, and what this process may do.
Findings examine_machine();
// The state folder and what is in it; the TPM answers.
Findings examine_host(const Globals& globals);
// `named`: --criu. When the user named none, there or in the environment, a machine without CRIU is
// one that only seals and opens.
Findings examine_criu(const std::string& named);

inline Finding good(const char* check, std::string sentence) {
  return {check, Verdict::good, std::move(sentence)};
}
inline Finding hint(const char* check, std::string sentence) {
  return {check, Verdict::hint, std::move(sentence)};
}
inline Finding problem(const char* check, std::string sentence) {
  return {check, Verdict::problem, std::move(sentence)};
}

// Of linux/capability.h, by number, which this process has (CapEff). None when /proc does not say.
std::optional<std::uint64_t> effective_capabilities();

}  // namespace ckptseal
