// SPDX-License-Identifier: Apache-2.0
//
// The sections of a unified kernel image that systemd-stub measures into PCR 11, and in which
// order: UAPI Group, "Unified Kernel Image" and "Linux TPM PCR Registry". A later stub measures
// sections that an earlier one did not; none has ever changed the order.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

// Whether any version of the stub measures a section of that name.
bool is_unified_section(std::string_view name);
// Whether the stub takes one of several such sections, as the machine or the user chooses.
bool section_is_chosen_at_boot(std::string_view name);
// What the stub measures before the section's content: the name with its NUL.
Bytes section_name_measured(std::string_view name);

// Of the stub whose .sdmagic section this is: "#### LoaderInfo: systemd-stub 252.39-1 ####".
// Code::failed for another program and for a version that was never tried.
struct StubRules {
  std::vector<std::string_view> measured;  // in this order
  // Whether it always passes an initrd to the kernel that has files of its own in it.
  bool adds_to_initrd = false;
};
Result<StubRules> rules_of_stub(ByteView magic);

}  // namespace ckptseal
