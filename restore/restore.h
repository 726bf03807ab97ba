// SPDX-License-Identifier: Apache-2.0
//
// Restores a process tree from a sealed checkpoint through stock CRIU: the helper checks, unseals
// and serves the images, and no task runs before all of them were verified. docs/criu.md,
// "Restore".
#pragma once

#include "criu/criu_run.h"
#include "sealing/jobs.h"

namespace ckptseal {

struct RestoreJob {
  CriuSetup criu;  // its verb and arguments as for a restore
  ReadJob read;    // never with allow_unsigned; with identities
};

struct Restored {
  HelperReport report;
  pid_t first_task = -1;  // a child of this process
};

// Success: everything was verified, the tasks ran, and CRIU has ended. An error: CRIU and every
// task that it had made are gone. Code::usage for a content that is no process tree,
// Code::untrusted, Code::policy and so on as in open_in_helper(). Code::failed with cause EINTR
// when one of job.criu.signals came before the tasks were let go on; later ones are left to wait.
Result<Restored> restore(const RestoreJob& job, const HelperEvents& events);

// From now on the signals that end a program or tell it something wait for stay_with().
Status hold_signals();
// Passes them on to `task`, a child of this process, until it ends, and says how.
Result<ExitStatus> stay_with(pid_t task);

}  // namespace ckptseal
