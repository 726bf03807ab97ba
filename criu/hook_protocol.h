// SPDX-License-Identifier: Apache-2.0
//
// What CRIU's action script and ckpt-seal say to each other. docs/criu.md, "Action script".
#pragma once

#include <string_view>

namespace ckptseal {

constexpr std::string_view hook_name = "ckpt-seal-hook";
constexpr std::string_view hook_socket = "hook.sock";  // in the folder by which the hook is called
constexpr char hook_go_on = 'y';

// The actions that ckpt-seal is asked about; all others go on.
constexpr bool is_hook_question(std::string_view action) {
  return action == "post-dump" || action == "post-restore";
}

}  // namespace ckptseal
