// SPDX-License-Identifier: Apache-2.0
//
// How hosts and labels may be called. A name is also a file name, a recipient on the command line
// and a word in a message, so its form is narrow. docs/host-record.md, "The body".
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ckptseal {

using Labels = std::map<std::string, std::string>;  // in the byte order of their keys

inline constexpr std::size_t most_labels = 32;

// Code::usage, saying what a name looks like.
Status check_host_name(std::string_view name);
Status check_labels(const Labels& labels);

}  // namespace ckptseal
