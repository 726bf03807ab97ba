// SPDX-License-Identifier: Apache-2.0
//
// Threshold slots. Whether a share opens is for its own kind of identity to say; here they are
// counted. docs/format.md, "Threshold slot".
#include "keymgr/threshold/threshold.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "keymgr/threshold/shares.h"

namespace ckptseal {
namespace {

constexpr std::uint16_t own_kind = static_cast<std::uint16_t>(SlotKind::threshold);
constexpr std::size_t largest_share_body = 16384;
constexpr std::size_t largest_body = 65536;  // of any slot

// Kinds below that of thresholds: a share is no threshold again.
bool may_be_share(const SlotBody& body) {
  return body.kind >= 1 && body.kind < own_kind && !body.bytes.empty() &&
         body.bytes.size() <= largest_share_body;
}

Error damaged() {
  return Error{Code::integrity,
               "A threshold slot of this file has wrong lengths or absurd numbers: the file is "
               "damaged or altered, so use another copy.",
               0};
}

// Opens the shares of one slot until there are enough, and keeps what went wrong.
class ShareOpener {
 public:
  ShareOpener(std::span<Identity* const> identities, const Checkpoint& of)
      : attempts_(identities.size()), of_(of) {
    for (std::size_t i = 0; i < identities.size(); ++i) attempts_[i].identity = identities[i];
  }

  void open(const ThresholdSlot& slot) {
    for (std::size_t i = 0; i < slot.shares.size() && shares_.size() < slot.needed; ++i) {
      open_share(slot.shares[i], static_cast<std::uint8_t>(i + 1));
    }
  }

  std::span<const Share> shares() const { return shares_; }

  // A passphrase that opened one share is not wrong, though it was tried on those of others.
  std::optional<Error> first_error() const {
    for (const Attempt& attempt : attempts_) {
      if (!attempt.error) continue;
      if (!attempt.opened || attempt.error->code != Code::policy) return attempt.error;
    }
    return std::nullopt;
  }

 private:
  struct Attempt {
    Identity* identity = nullptr;
    bool opened = false;
    std::optional<Error> error;

    // The first, but one that says more than "not by this one" goes before those that do not.
    void remember(Error failure) {
      const bool says_more = failure.code != Code::policy;
      if (!error || (error->code == Code::policy && says_more)) error = std::move(failure);
    }
  };

  void open_share(const SlotBody& share, std::uint8_t number) {
    for (Attempt& attempt : attempts_) {
      auto value = attempt.identity->unwrap(share, of_);
      if (!value.ok()) {
        attempt.remember(std::move(value).error());
        continue;
      }
      if (!value.value()) continue;
      if (value.value()->size() != data_key_size) {
        attempt.remember(damaged());
        continue;
      }
      attempt.opened = true;
      shares_.push_back({number, *std::move(value).value()});
      return;
    }
  }

  std::vector<Attempt> attempts_;
  const Checkpoint& of_;
  std::vector<Share> shares_;
};

}  // namespace

Bytes ThresholdSlot::serialize() const {
  ByteWriter out;
  out.u8(needed).u8(static_cast<std::uint8_t>(shares.size()));
  for (const SlotBody& share : shares) {
    out.u16(share.kind).u32(static_cast<std::uint32_t>(share.bytes.size())).bytes(share.bytes);
  }
  return out.take();
}

Result<ThresholdSlot> ThresholdSlot::parse(ByteView body) {
  if (body.size() > largest_body) return damaged();
  ByteReader in(body);
  ThresholdSlot out;
  out.needed = in.u8();
  const std::size_t count = in.u8();
  if (count > largest_share_count || out.needed < smallest_threshold || out.needed > count) {
    return damaged();
  }
  for (std::size_t i = 0; i < count; ++i) {
    SlotBody share;
    share.kind = in.u16();
    const ByteView bytes = in.view(in.u32());  // empty if there are not so many
    share.bytes.assign(bytes.begin(), bytes.end());
    if (!may_be_share(share)) return damaged();
    out.shares.push_back(std::move(share));
  }
  if (!in.at_end()) return damaged();
  return out;
}

Result<SlotBody> ThresholdRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  CKPTSEAL_ASSIGN(const std::vector<Share> shares,
                  split_key(data_key, needed_, recipients_.size()));
  ThresholdSlot slot;
  slot.needed = static_cast<std::uint8_t>(needed_);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    CKPTSEAL_ASSIGN(SlotBody body, recipients_[i]->wrap(shares[i].value, of));
    if (!may_be_share(body)) {
      return Error{Code::usage,
                   fmt::format("Recipient {} of a threshold cannot hold a share: name a host, a "
                               "passphrase, a public key or a recovery key.",
                               i + 1),
                   0};
    }
    slot.shares.push_back(std::move(body));
  }
  Bytes body = slot.serialize();
  if (body.size() > largest_body) {
    return Error{
        Code::usage,
        "The shares of a threshold take more than 64 KiB: name fewer recipients or smaller "
        "keys.",
        0};
  }
  return SlotBody{own_kind, std::move(body)};
}

Result<std::optional<Secret>> ThresholdIdentity::unwrap(const SlotBody& slot,
                                                        const Checkpoint& of) {
  if (slot.kind != own_kind) return std::optional<Secret>();
  CKPTSEAL_ASSIGN(const ThresholdSlot parsed, ThresholdSlot::parse(slot.bytes));
  ShareOpener opener(identities_, of);
  opener.open(parsed);
  const std::size_t opened = opener.shares().size();
  if (opened < parsed.needed) {
    if (std::optional<Error> error = opener.first_error()) return *std::move(error);
    if (opened == 0) return std::optional<Secret>();
    return Error{
        Code::no_slot,
        fmt::format("This file needs {} of {} recipients together and only {} opened: name "
                    "more identities with --identity.",
                    parsed.needed, parsed.shares.size(), opened),
        0};
  }
  CKPTSEAL_ASSIGN(Secret data_key, join_shares(opener.shares()));
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
