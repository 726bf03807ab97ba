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
// For exclusive files, which take few kinds. No slot of this kind has so few bytes.
inline constexpr std::uint16_t exclusive_double_kind = 3;

// Hides the data key behind a word. It protects nothing.
class DoubleRecipient : public Recipient {
 public:
  explicit DoubleRecipient(std::string word, std::uint16_t kind = double_kind)
      : word_(std::move(word)), kind_(kind) {}
  Result<SlotBody> wrap(const Secret& data_key, const Checkpoint& of) override;
  bool owns(const SlotBody& slot) const override;

 private:
  std::string word_;
  std::uint16_t kind_;
};

// Opens slots of both kinds.
class DoubleIdentity : public Identity {
 public:
  explicit DoubleIdentity(std::string word) : word_(std::move(word)) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  std::string word_;
};

// Fails for the slots of a word, those of all words if it is empty.
class FailingIdentity : public Identity {
 public:
  explicit FailingIdentity(Code code, std::string word = "", std::string message = "")
      : code_(code), word_(std::move(word)), message_(std::move(message)) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  Code code_;
  std::string word_;
  std::string message_;  // empty: one that says the code
};

// Gives a key of `size` bytes that is no file's for the slots of a word.
class WrongKeyIdentity : public Identity {
 public:
  WrongKeyIdentity(std::string word, std::size_t size) : word_(std::move(word)), size_(size) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  std::string word_;
  std::size_t size_;
};

// Writes down what it is asked, and does as another one.
class WatchedIdentity : public Identity {
 public:
  WatchedIdentity(std::unique_ptr<Identity> inner, std::vector<SlotBody>& asked)
      : inner_(std::move(inner)), asked_(asked) {}
  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override;

 private:
  std::unique_ptr<Identity> inner_;
  std::vector<SlotBody>& asked_;
};

// Whether it is the slot that a DoubleRecipient with this word has made.
bool is_slot_of(const SlotBody& slot, const std::string& word);

using Recipients = std::vector<std::unique_ptr<Recipient>>;
using Identities = std::vector<std::unique_ptr<Identity>>;
Recipients recipients_for(const std::vector<std::string>& words, std::uint16_t kind = double_kind);
Identities identities_for(const std::vector<std::string>& words);

// Who signs sealed checkpoints, and changes them.
class DoubleOrigin {
 public:
  explicit DoubleOrigin(std::string name = "host-a", Seconds expires = 0);
  const Digest& identity() const { return trusted_.identity; }
  const TrustedOrigin& trusted() const { return trusted_; }
  EcdsaSignature sign(const Digest& digest) const { return key_.sign(digest); }

 private:
  SoftwareKey key_;
  TrustedOrigin trusted_;
};

}  // namespace ckptseal::test
