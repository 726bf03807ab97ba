// SPDX-License-Identifier: Apache-2.0
//
// The event log of a measured boot: what firmware and boot loaders say that they extended the PCRs
// with. TCG PC Client Platform Firmware Profile 1.06, "Event Logging" (in 1.05 section 10). Parsed
// and replayed in pure software; whether an event's words can be believed is said by
// policies/event_judge.h, for neither its type nor its data is measured.
#pragma once

#include <array>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "policies/pcr.h"

namespace ckptseal {

// TCG PC Client Platform Firmware Profile, "Event Types".
enum EventType : std::uint32_t {
  ev_preboot_cert = 0x0,
  ev_post_code = 0x1,
  ev_no_action = 0x3,
  ev_separator = 0x4,
  ev_action = 0x5,
  ev_event_tag = 0x6,
  ev_s_crtm_contents = 0x7,
  ev_s_crtm_version = 0x8,
  ev_cpu_microcode = 0x9,
  ev_platform_config_flags = 0xa,
  ev_table_of_devices = 0xb,
  ev_compact_hash = 0xc,
  ev_ipl = 0xd,
  ev_nonhost_code = 0xf,
  ev_nonhost_config = 0x10,
  ev_nonhost_info = 0x11,
  ev_omit_boot_device_events = 0x12,
  ev_post_code2 = 0x13,
  ev_efi_variable_driver_config = 0x80000001,
  ev_efi_variable_boot = 0x80000002,
  ev_efi_boot_services_application = 0x80000003,
  ev_efi_boot_services_driver = 0x80000004,
  ev_efi_runtime_services_driver = 0x80000005,
  ev_efi_gpt_event = 0x80000006,
  ev_efi_action = 0x80000007,
  ev_efi_platform_firmware_blob = 0x80000008,
  ev_efi_handoff_tables = 0x80000009,
  ev_efi_platform_firmware_blob2 = 0x8000000a,
  ev_efi_handoff_tables2 = 0x8000000b,
  ev_efi_variable_boot2 = 0x8000000c,
  ev_efi_gpt_event2 = 0x8000000d,
  ev_efi_hcrtm_event = 0x80000010,
  ev_efi_variable_authority = 0x800000e0,
  ev_efi_spdm_firmware_blob = 0x800000e1,
  ev_efi_spdm_firmware_config = 0x800000e2,
  ev_efi_spdm_device_policy = 0x800000e3,
  ev_efi_spdm_device_authority = 0x800000e4,
};

struct LoggedEvent {
  std::size_t number = 0;  // from 1, the header not counted
  unsigned pcr = 0;        // 0 to 23
  std::uint32_t type = 0;  // an EventType, or one that is not known
  Digest digest{};         // in the SHA-256 bank
  Bytes data;

  bool extends() const { return type != ev_no_action; }
};

// All PCRs of the SHA-256 bank.
using PcrBank = std::array<Digest, PcrSelection::count>;

// The value of a PCR after TPM2_PCR_Extend (TPM 2.0 Part 1, "PCR Operations").
Digest extended(const Digest& value, const Digest& digest);

class EventLog {
 public:
  static constexpr std::size_t largest = std::size_t{16} << 20;
  static constexpr std::size_t most_events = std::size_t{1} << 16;
  static constexpr std::size_t most_algorithms = 8;

  // `log` is as Linux gives it in /sys/kernel/security/tpm0/binary_bios_measurements.
  // Code::integrity when it is not a crypto-agile log to its last byte, or a PCR above 23, an
  // unknown algorithm or an event without a SHA-256 digest is in it.
  static Result<EventLog> parse(ByteView log);

  const std::vector<LoggedEvent>& events() const { return events_; }
  // What the PCRs held when the machine started (TCG PC Client Platform TPM Profile, "PCR Initial
  // and Reset Values"): PCR 0 begins with the locality of TPM2_Startup, which the log tells.
  PcrBank start_values() const;
  // What they hold after all events.
  PcrBank replay() const;

 private:
  Status take_startup_locality(const LoggedEvent& event);

  std::vector<LoggedEvent> events_;
  std::uint8_t startup_locality_ = 0;
  bool locality_is_said_ = false;
  bool pcr_0_is_extended_ = false;
};

}  // namespace ckptseal
