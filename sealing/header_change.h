// SPDX-License-Identifier: Apache-2.0
//
// New slots in an old file: both header copies are written anew, one after the other, so that one
// of them is whole at any moment. docs/format.md, "Changing the slots" and "Destroying the slots".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sealing/jobs.h"

namespace ckptseal {

// Slots to remove. `matches` is called in the helper, with the number of a slot and its body.
struct SlotRemoval {
  std::string name;  // as the user named them
  std::function<Result<bool>(std::size_t, const SlotBody&)> matches;
};

struct RewrapJob {
  ReadJob read;  // with identities; its file is open for writing, too
  std::vector<SlotRemoval> removals;
  RecipientFactory recipients;  // of the slots to add; empty: none
  // Called in the helper when they have their slots and nothing is refused any more, if not empty:
  // they may have something to tell. With `read.descriptors`.
  std::function<Status()> announce;
  Digest host{};                  // identity of this host, which signs; all zero: nobody does
  Seconds now = 0;                // what the change says of its time
  bool allow_unsigned = false;    // make a change that nobody signs to a file that is signed
  bool only_passphrases = false;  // allow that nothing but passphrases opens it afterwards
  bool mix_classical =
      false;  // allow hybrid slots beside classical ones (keymgr/threshold/mixture.h)
};

// Opens the file, as far as its manifest, and makes the new header; `events.sign` signs it and each
// added slot. Who has a slot already gets no other; slots that no reader would use go. Writes
// nothing: the report has the header, for write_header(), or none when the file is as it should be.
// Without removals and recipients that is the header which is there, if the copies differ.
// Code::usage for an exclusive file, a removal that fits no slot, a change that would be unsigned,
// a slot that is added beside those of another sort against `mix_classical`, or when no slot, or
// against `only_passphrases` nothing but passphrases, would be left; Code::failed when there is no
// room, or the file was changed too often.
Result<HelperReport> rewrap_in_helper(const RewrapJob& job, const HelperEvents& events);

// Writes and syncs both copies in order. When it fails the file has the slots from before or those
// from after.
Status write_header(int fd, const proto::HeaderChange& change);

struct ShredJob {
  int sealed_fd = -1;
  bool dry_run = false;                // only find the header copies
  std::vector<TrustedOrigin> origins;  // whose signature says what it was: `events.authentic`
};

// Overwrites both header copies with random bytes, or all of the place where they could be when
// none of them is sound, of which it warns. Code::integrity when it is no sealed checkpoint: then
// nothing of it has changed.
Status shred_in_helper(const ShredJob& job, const HelperEvents& events);

}  // namespace ckptseal
