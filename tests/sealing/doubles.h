// SPDX-License-Identifier: Apache-2.0
//
// Recipients, identities and an origin that need neither TPM nor passphrase.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hosts/trust.h"
#include "keymgr/recipient.h"
#include "software_host.h"

namespace ckptseal::test {

// A kind that no version defines.
inline constexpr std::uint16_t double_kind = 0x7e57;

// Hides the data key behind a word. It protects nothing.
class DoubleRecipient : public Recipient {
 public:
  explicit DoubleRecipient(std::string word) : word_(std::move(word)) {}
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;

 private:
  std::string word_;
};

class DoubleIdentity : public Identity {
 public:
  explicit DoubleIdentity(std::string word) : word_(std::move(word)) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  std::string word_;
};

// Fails for every slot of double_kind.
class FailingIdentity : public Identity {
 public:
  explicit FailingIdentity(Code code) : code_(code) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  Code code_;
};

using Recipients = std::vector<std::unique_ptr<Recipient>>;
using Identities = std::vector<std::unique_ptr<Identity>>;
Recipients recipients_for(const std::vector<std::string>& words);
Identities identities_for(const std::vector<std::string>& words);

// Who signs sealed checkpoints.
class DoubleOrigin {
 public:
  explicit DoubleOrigin(std::string name = "host-a");
  const Digest& identity() const { return trusted_.identity; }
  const TrustedOrigin& trusted() const { return trusted_; }
  EcdsaSignature sign(const Digest& digest) const { return key_.sign(digest); }

 private:
  SoftwareKey key_;
  TrustedOrigin trusted_;
};

}  // namespace ckptseal::test
