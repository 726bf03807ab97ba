// SPDX-License-Identifier: Apache-2.0
//
// The logs of real boots in event_logs/, and what the TPM held after each.
#pragma once

#include <array>
#include <stdexcept>
#include <string>

#include "base/fd.h"
#include "policies/event_log.h"

namespace ckptseal::test {

constexpr std::array<const char*, 9> recorded_logs = {
    "uki",   "uki-changed",   "uki-pcrkey", "uki-257",           "uki-pcrkey-257",
    "entry", "entry-changed", "shim-grub",  "shim-grub-changed",
};

inline Bytes recorded_file(const std::string& name) {
  const std::string path = std::string(CKPTSEAL_EVENT_LOGS) + "/" + name;
  Result<Bytes> content = read_file(path, EventLog::largest, path);
  if (!content.ok()) throw std::runtime_error(content.error().message);
  return std::move(content).value();
}

inline Bytes recorded_log(const std::string& name) { return recorded_file(name + ".eventlog"); }

// What /sys/class/tpm/tpm0/pcr-sha256 said: a line "NUMBER HEX" for each PCR.
inline PcrBank recorded_pcrs(const std::string& name) {
  const Bytes content = recorded_file(name + ".pcrs");
  std::string_view rest = as_text(content);
  PcrBank values{};
  for (Digest& value : values) {
    const std::size_t space = rest.find(' ');
    const std::optional<Bytes> digest = from_hex(rest.substr(space + 1, 64));
    if (!digest || digest->size() != value.size()) throw std::runtime_error("no PCRs: " + name);
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = (*digest)[i];
    rest.remove_prefix(rest.find('\n') + 1);
  }
  return values;
}

}  // namespace ckptseal::test
