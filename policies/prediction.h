// SPDX-License-Identifier: Apache-2.0
//
// What the PCRs will hold after the next boot: the log of this one, with the digests of what is
// replaced put in place of those that the log has. A replacement that does not find exactly the
// events that it needs is refused, and a PCR into which something is measured that cannot be
// computed has no value. docs/event-logs.md, "Predicted".
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policies/event_log.h"
#include "policies/pcr_state.h"
#include "policies/unified_image.h"

namespace ckptseal {

class Prediction {
 public:
  // Code::integrity when the log has an event that is not believed (policies/event_judge.h).
  static Result<Prediction> of_log(const EventLog& log);

  // `next` is started where the log shows a unified kernel image. With `booted` the log must be of
  // a boot of that image; without it what the kernel measures into PCR 9 is not known.
  Status replace_unified_image(const UnifiedImage* booted, const UnifiedImage& next);
  // The command line that a boot loader passes: to a unified kernel image, or to the kernel that
  // GRUB starts. Printable ASCII.
  Status replace_command_line(std::string_view text);
  // An image that firmware or boot loaders start (PCR 4), by Authenticode digests: shim, GRUB,
  // systemd-boot, a kernel.
  Status replace_image(const Digest& booted, const Digest& next);
  // A file that GRUB reads (PCR 9): kernel, initrd, configuration.
  Status replace_grub_file(const Digest& booted, const Digest& next);

  // Code::failed when one that is selected is not known; says why.
  Result<PcrState> state(const PcrSelection& selection) const;
  // What must hold for it to come true, in sentences.
  const std::vector<std::string>& conditions() const { return conditions_; }

 private:
  explicit Prediction(const EventLog& log) : events_(log.events()), values_(log.start_values()) {}

  struct UnifiedBoot {  // indices into events_
    std::size_t image = 0;
    std::size_t first_section = 0;
    std::size_t after_sections = 0;
    std::size_t kernel = 0;
  };
  std::vector<std::size_t> find(unsigned pcr, std::uint32_t type) const;
  LoggedEvent* kernel_event(std::uint32_t tag);
  std::vector<LoggedEvent*> command_line_events();
  Result<UnifiedBoot> find_unified_boot() const;
  Status require_booted(const UnifiedBoot& boot, const UnifiedImage& booted) const;
  Status require_same_command_line_source(const UnifiedBoot& boot, const UnifiedImage& next);
  void replace_sections(const UnifiedBoot& boot, const UnifiedImage& next);
  void replace_kernel_events(const UnifiedImage* booted, const UnifiedImage& next);
  Status replace_grub_command_line(std::string_view text);
  Status replace_digest(unsigned pcr, std::uint32_t type, const Digest& from, const Digest& to,
                        std::string_view what);
  void is_unknown(unsigned pcr, std::string why);

  std::vector<LoggedEvent> events_;
  PcrBank values_;  // at the start
  std::array<std::string, PcrSelection::count> unknown_;
  bool grub_configuration_is_due_ = false;
  std::vector<std::string> conditions_;
};

}  // namespace ckptseal
