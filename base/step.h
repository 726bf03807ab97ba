// SPDX-License-Identifier: Apache-2.0
//
// The steps of a dump, of a restore and of counting a use have names, so that a test can end a
// process at each of them (docs/criu.md, "Steps"; docs/state.md, "uses"). Only builds with the
// CMake option CKPTSEAL_STEPS know them.
#pragma once

#include <string_view>

namespace ckptseal {

#ifdef CKPTSEAL_STEPS
// From now on this process and those that it forks stop at that step. Called once, by main().
void stop_at(std::string_view step);
// If it is that step: SIGSTOP, once, to this process alone. Returns when somebody sends SIGCONT.
void reached(std::string_view step);
#else
inline void reached(std::string_view /*step*/) {}
#endif

}  // namespace ckptseal
