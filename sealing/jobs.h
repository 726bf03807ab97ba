// SPDX-License-Identifier: Apache-2.0
//
// What the command line asks of sealing/: seal, open, verify, inspect, each run in the helper.
#pragma once

#include "sealing/file_writer.h"
#include "sealing/helper.h"
#include "sealing/unlocked_file.h"

namespace ckptseal {

// Called in the helper, hardened but not yet in the sandbox: passphrases are read and TPMs reached
// there and nowhere else. By the channel identities ask for online approvals.
using RecipientFactory = std::function<Result<std::vector<std::unique_ptr<Recipient>>>()>;
using IdentityFactory =
    std::function<Result<std::vector<std::unique_ptr<Identity>>>(HelperChannel&)>;

struct SealJob {
  int input_fd = -1;             // read to its end
  int output_fd = -1;            // written from its current position
  int spool_fd = -1;             // empty file for ciphertext
  std::uint64_t input_size = 0;  // for the progress; 0: not known
  bool refuse_empty = true;      // an empty pipe is most often a producer that failed
  SealOptions options;
  RecipientFactory recipients;
  // Called in the helper when all of the content is there and the file is not, if not empty: its
  // recipients may have something to tell.
  std::function<Status()> announce;
  std::vector<int> descriptors;  // what these two need
};
Result<HelperReport> seal_in_helper(const SealJob& job, const HelperEvents& events);

struct ReadJob {
  int sealed_fd = -1;
  std::vector<TrustedOrigin> origins;
  bool allow_unsigned = false;
  IdentityFactory identities;  // empty: without a key
  std::optional<std::size_t> only_slot;
  // Asked in the helper, before a slot is tried, for a checkpoint with an end, which is not 0: an
  // error refuses it. Left out: refused.
  std::function<Status(std::uint64_t not_after)> check_time;
  std::vector<int> descriptors;  // what the factory needs

  ReaderTrust trust() const { return {origins, allow_unsigned}; }
};

struct InspectJob {
  ReadJob read;
  // Which slots are described, by their bodies; empty: all. Never more than there is room for:
  // 4096, shares counted.
  std::function<bool(const SlotBody&)> describes = {};
  std::optional<std::size_t> export_slot = {};
};

// Step 1 of "Reading", and the slots. Trust is reported, not asked for; but with identities also
// the images are shown, of a file that is signed by a trusted host, or unsigned and allowed. With
// `export_slot`, that TPM slot in the TPM's own structures.
Result<HelperReport> inspect_in_helper(const InspectJob& job, const HelperEvents& events);

// Verifies the signature and, with identities, every chunk. A damaged spare header copy is
// Code::integrity here, and so is a slot that nobody vouches for. With `key_is_optional` a file
// without a slot for the identities is checked as without a key.
Result<HelperReport> verify_in_helper(const ReadJob& job, bool key_is_optional,
                                      const HelperEvents& events);

// Writes the content of a `stream` or `tree` to `output_fd`, each chunk after it was verified; the
// caller makes the output count only when this succeeds. Code::usage when the content is not
// `expected`.
Result<HelperReport> open_in_helper(const ReadJob& job, Content expected, int output_fd,
                                    const HelperEvents& events);

}  // namespace ckptseal
