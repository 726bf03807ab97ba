// SPDX-License-Identifier: Apache-2.0
//
// Says of each event of a log what its digest is of. The type and the data of an event are not
// measured: whoever writes the log can put any words beside a digest. So what can be recomputed
// from the data is, and must fit; what merely describes is known as such; and what is neither is
// refused, for a prediction built on it would be a guess. docs/event-logs.md, "Judged".
#pragma once

#include <string_view>

#include "base/result.h"
#include "policies/event_log.h"

namespace ckptseal {

enum class EventProof : std::uint8_t {
  not_measured,  // EV_NO_ACTION
  recomputed,    // the digest is that of the data, or of a part of it that the type names
  digest_only,   // the data describes what was measured and does not contain it
};

// Code::integrity when the digest does not fit the data, the data is not what its type says, or the
// type is not known.
Result<EventProof> judge(const LoggedEvent& event);

// All of them, and the order of those that systemd-stub writes for a unified kernel image.
Status judge(const EventLog& log);

// Tags of EV_EVENT_TAG: the kernel's (drivers/firmware/efi/libstub).
constexpr std::uint32_t tag_kernel_initrd = 0x8f3b22ec;
constexpr std::uint32_t tag_kernel_load_options = 0x8f3b22ed;

// What GRUB writes before the words that it measures into PCR 8.
constexpr std::string_view grub_command = "grub_cmd: ";
constexpr std::string_view grub_kernel = "kernel_cmdline: ";

}  // namespace ckptseal
