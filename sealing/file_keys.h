// SPDX-License-Identifier: Apache-2.0
//
// All keys of one sealed checkpoint, from its data key. docs/format.md, "Keys".
#pragma once

#include "keymgr/recipient.h"
#include "sealing/layout.h"

namespace ckptseal {

// The key commitment, from the data key and the checkpoint id alone.
Result<Digest> commit_to_key(const Secret& data_key, const CheckpointId& id);

class FileKeys {
 public:
  static Result<FileKeys> derive(const Secret& data_key, ByteView immutable_bytes);

  const Secret& header_key() const { return header_key_; }
  const Secret& manifest_key() const { return manifest_key_; }
  Result<Secret> image_key(std::uint32_t number) const;

 private:
  FileKeys(Secret prk, Secret header_key, Secret manifest_key)
      : prk_(std::move(prk)),
        header_key_(std::move(header_key)),
        manifest_key_(std::move(manifest_key)) {}

  Secret prk_;
  Secret header_key_;
  Secret manifest_key_;
};

}  // namespace ckptseal
