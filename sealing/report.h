// SPDX-License-Identifier: Apache-2.0
//
// What the helper tells its parent about a sealed checkpoint.
#pragma once

#include "sealing/file_writer.h"
#include "sealing/helper.h"
#include "sealing/unlocked_file.h"

namespace ckptseal {

// Of a file that was written to its end; the caller adds what went in.
HelperReport report_written(const FileWriter& writer);
// Sizes, origin and the number of slots.
HelperReport report_file(const SealedFile& file);
// The slots whose bodies `describes` picks, all if it is empty, and which of them nobody vouches
// for who is trusted, as far as the origin was verified, or is unsigned and that is allowed. Ends
// when there is no room for more.
void report_slots(const SealedFile& file, const ReaderTrust& trust,
                  const std::function<bool(const SlotBody&)>& describes, HelperReport& report);
void report_images(const UnlockedFile& file, HelperReport& report);
// Code::usage when there is no such slot, or it is no TPM slot.
Status report_exported_slot(const SealedFile& file, std::size_t index, HelperReport& report);

}  // namespace ckptseal
