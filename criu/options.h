// SPDX-License-Identifier: Apache-2.0
//
// Which options of `criu dump` and `criu restore` a user may add. docs/criu.md, "Options".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace ckptseal {

enum class CriuVerb : std::uint8_t { dump, restore };

// `words` is what stands behind `--` on the command line. Code::usage, with the reason, for an
// option that ckpt-seal sets itself, that breaks or goes round the sealing, that the verb does not
// have, or that is not known: CRIU takes abbreviations, so only whole names that are known are
// passed on.
Status check_criu_options(CriuVerb verb, const std::vector<std::string>& words);
// Whether --shell-job may be among words that were checked: now and then true without it, never
// false with it.
bool may_have_shell_job(const std::vector<std::string>& words);

}  // namespace ckptseal
