// SPDX-License-Identifier: Apache-2.0
//
// The two halves of a slot, as in age: a recipient wraps the data key of a new sealed checkpoint,
// an identity unwraps it. docs/format.md, "Slots".
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "policies/checkpoint.h"

namespace ckptseal {

enum class SlotKind : std::uint16_t {
  tpm2 = 1,
  passphrase = 2,
  public_key = 3,
  recovery = 4,
  threshold = 5,
  hybrid = 6,
};

inline constexpr std::size_t data_key_size = 32;

// The part of a slot that its kind defines.
struct SlotBody {
  std::uint16_t kind = 0;  // a SlotKind, or one that this version does not know
  Bytes bytes;
};

class Recipient {
 public:
  virtual ~Recipient() = default;
  // Wraps the data key (32 bytes) of that checkpoint in software.
  virtual Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) = 0;
  // True when this slot opens for the same, so that another one would give nothing more.
  virtual bool owns(const SlotBody& /*slot*/) const { return false; }
};

class Identity {
 public:
  virtual ~Identity() = default;
  // nullopt: this slot is not for this identity. An error: it is, and does not open; its code says
  // why as docs/format.md, "Which slot opens", has it: Code::no_slot for a form or algorithm that
  // is not known, Code::failed for more memory or work than allowed, Code::integrity for what is
  // damaged. Code::usage is the caller's mistake, and ends the search.
  virtual Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) = 0;
  // The data key of the file, by whichever identity it came, is about to be used: an error keeps it
  // from that.
  virtual Status before_use() { return {}; }
};

}  // namespace ckptseal
