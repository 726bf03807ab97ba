// SPDX-License-Identifier: Apache-2.0
//
// The clauses by which the parts of a file are called damaged. Errors of sealing/ are clauses ("its
// manifest is ..."); with_subject() in sealing/sealed_file.h makes the sentence.
#pragma once

#include <string_view>

#include "base/result.h"

namespace ckptseal {

// Code::integrity, with `why` in brackets.
Error damaged_header(std::string_view why);
Error damaged_manifest(std::string_view why);

}  // namespace ckptseal
