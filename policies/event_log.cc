// SPDX-License-Identifier: Apache-2.0
//
// Reads an event log from its first byte to its last. Sections are those of the TCG PC Client
// Platform Firmware Profile 1.06; all its numbers are little-endian.
#include "policies/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "policies/little_endian.h"

namespace ckptseal {
namespace {

constexpr std::size_t sha1_size = 20;
constexpr std::uint16_t tpm_alg_sha256 = 0x000b;
// Signatures of EV_NO_ACTION events, with their NUL: "TCG_EfiSpecIDEvent Structure" and
// "Startup Locality Event".
constexpr std::string_view spec_id_signature("Spec ID Event03\0", 16);
constexpr std::string_view startup_locality_signature("StartupLocality\0", 16);

Error refused(const std::string& why) {
  return {Code::integrity,
          fmt::format("The event log is refused because {}: copy it anew from "
                      "/sys/kernel/security/tpm0/binary_bios_measurements of the machine.",
                      why),
          0};
}

// TCG Algorithm Registry, digest sizes; 0 for an algorithm that is not known.
std::size_t digest_size(std::uint16_t algorithm) {
  switch (algorithm) {
    case 0x0004:  // SHA-1
      return sha1_size;
    case tpm_alg_sha256:
    case 0x0012:  // SM3-256
    case 0x0027:  // SHA3-256
      return 32;
    case 0x000c:  // SHA-384
    case 0x0028:  // SHA3-384
      return 48;
    case 0x000d:  // SHA-512
    case 0x0029:  // SHA3-512
      return 64;
    default:
      return 0;
  }
}

bool begins_with(ByteView data, std::string_view signature) {
  return data.size() >= signature.size() &&
         same_bytes(data.first(signature.size()), as_bytes(signature));
}

using Algorithms = std::vector<std::uint16_t>;

// "TCG_EfiSpecIDEvent Structure".
Result<Algorithms> parse_spec_id(ByteView data) {
  LittleEndianReader reader(data);
  (void)reader.view(spec_id_signature.size());
  (void)reader.view(4 + 4);  // platformClass; minor and major version, errata, size of UINTN
  const std::uint32_t count = reader.u32();
  if (!reader.ok() || count == 0 || count > EventLog::most_algorithms) {
    return refused(fmt::format("its header names {} digest algorithms", count));
  }
  Algorithms algorithms;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint16_t algorithm = reader.u16();
    const std::uint16_t size = reader.u16();
    if (!reader.ok()) return refused("its header is cut short");
    if (size == 0 || digest_size(algorithm) != size) {
      return refused(fmt::format(
          "its header names a digest algorithm 0x{:04x} of {} bytes, which is none that is known",
          algorithm, size));
    }
    if (std::find(algorithms.begin(), algorithms.end(), algorithm) != algorithms.end()) {
      return refused(fmt::format("its header names the algorithm 0x{:04x} twice", algorithm));
    }
    algorithms.push_back(algorithm);
  }
  (void)reader.view(reader.u8());  // vendorInfo
  if (!reader.at_end()) return refused("its header is not as long as it says");
  if (std::find(algorithms.begin(), algorithms.end(), tpm_alg_sha256) == algorithms.end()) {
    return refused("it has no SHA-256 digests");
  }
  return algorithms;
}

// The first event, in the form of TPM 1.2: "TCG_PCClientPCREvent Structure".
Result<Algorithms> parse_header(LittleEndianReader& log) {
  const std::uint32_t pcr = log.u32();
  const std::uint32_t type = log.u32();
  const ByteView digest = log.view(sha1_size);
  const ByteView data = log.view(log.u32());
  if (!log.ok()) return refused("it is empty, or cut within its header");
  if (pcr != 0 || type != ev_no_action || !all_zero(digest) ||
      !begins_with(data, spec_id_signature)) {
    return refused("it is no crypto-agile log, which begins with a \"Spec ID Event03\"");
  }
  return parse_spec_id(data);
}

// TPML_DIGEST_VALUES: one digest of each algorithm of the header, in any order.
Result<Digest> parse_digests(LittleEndianReader& log, const Algorithms& algorithms,
                             std::size_t number) {
  const std::uint32_t count = log.u32();
  if (!log.ok()) return refused(fmt::format("event {} is cut short", number));
  if (count != algorithms.size()) {
    return refused(fmt::format("event {} has {} digests and the header names {} algorithms", number,
                               count, algorithms.size()));
  }
  Algorithms seen;
  Digest sha256{};
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint16_t algorithm = log.u16();
    if (!log.ok()) return refused(fmt::format("event {} is cut short", number));
    if (std::find(algorithms.begin(), algorithms.end(), algorithm) == algorithms.end() ||
        std::find(seen.begin(), seen.end(), algorithm) != seen.end()) {
      return refused(fmt::format(
          "event {} has a digest of the algorithm 0x{:04x}, which the header does not name, or two",
          number, algorithm));
    }
    seen.push_back(algorithm);
    const ByteView digest = log.view(digest_size(algorithm));
    if (!log.ok()) return refused(fmt::format("event {} is cut short", number));
    if (algorithm == tpm_alg_sha256) std::copy(digest.begin(), digest.end(), sha256.begin());
  }
  return sha256;
}

// "TCG_PCR_EVENT2 Structure".
Result<LoggedEvent> parse_event(LittleEndianReader& log, const Algorithms& algorithms,
                                std::size_t number) {
  LoggedEvent event;
  event.number = number;
  event.pcr = log.u32();
  event.type = log.u32();
  if (!log.ok()) return refused(fmt::format("event {} is cut short", number));
  if (event.pcr >= PcrSelection::count) {
    return refused(
        fmt::format("event {} is for PCR {}, and a TPM has PCRs 0 to 23", number, event.pcr));
  }
  CKPTSEAL_ASSIGN(event.digest, parse_digests(log, algorithms, number));
  const ByteView data = log.view(log.u32());
  if (!log.ok()) return refused(fmt::format("event {} is cut short", number));
  event.data.assign(data.begin(), data.end());
  return event;
}

}  // namespace

Digest extended(const Digest& value, const Digest& digest) {
  return Sha256().update(value).update(digest).finish();
}

// "Startup Locality Event": before the first measurement into PCR 0, and once.
Status EventLog::take_startup_locality(const LoggedEvent& event) {
  if (!begins_with(event.data, startup_locality_signature)) return {};
  const std::size_t size = startup_locality_signature.size() + 1;
  const std::uint8_t locality = event.data.back();
  // TPM2_Startup comes from locality 0 or 3; 4 says that there was an H-CRTM event sequence.
  const bool known = locality == 0 || locality == 3 || locality == 4;
  if (event.pcr != 0 || event.data.size() != size || !known || locality_is_said_ ||
      pcr_0_is_extended_) {
    return refused(
        fmt::format("event {} is a StartupLocality that is malformed, late or a second one, so "
                    "that the first value of PCR 0 is not known",
                    event.number));
  }
  startup_locality_ = locality;
  locality_is_said_ = true;
  return {};
}

Result<EventLog> EventLog::parse(ByteView log) {
  if (log.size() > largest) return refused(fmt::format("it is larger than {} bytes", largest));
  LittleEndianReader reader(log);
  CKPTSEAL_ASSIGN(const Algorithms algorithms, parse_header(reader));
  EventLog out;
  while (!reader.at_end()) {
    const std::size_t number = out.events_.size() + 1;
    if (number > most_events) {
      return refused(fmt::format("it has more than {} events", most_events));
    }
    CKPTSEAL_ASSIGN(LoggedEvent event, parse_event(reader, algorithms, number));
    if (!event.extends()) CKPTSEAL_TRY(out.take_startup_locality(event));
    if (event.extends() && event.pcr == 0) out.pcr_0_is_extended_ = true;
    out.events_.push_back(std::move(event));
  }
  return out;
}

PcrBank EventLog::start_values() const {
  PcrBank values{};
  values[0].back() = startup_locality_;
  // Those of a dynamic launch, before one.
  for (unsigned pcr = 17; pcr <= 22; ++pcr) values[pcr].fill(0xff);
  return values;
}

PcrBank EventLog::replay() const {
  PcrBank values = start_values();
  for (const LoggedEvent& event : events_) {
    if (event.extends()) values[event.pcr] = extended(values[event.pcr], event.digest);
  }
  return values;
}

}  // namespace ckptseal
