// SPDX-License-Identifier: Apache-2.0
//
// The one step is a global, as it would otherwise be an argument of all that has steps, in builds
// that have none. This file is in no other build.
#include "base/step.h"

#include <csignal>
#include <string>

namespace ckptseal {
namespace {

std::string& chosen() {
  static std::string step;
  return step;
}

}  // namespace

void stop_at(std::string_view step) { chosen() = step; }

void reached(std::string_view step) {
  if (step != chosen()) return;
  chosen().clear();
  raise(SIGSTOP);
}

}  // namespace ckptseal
