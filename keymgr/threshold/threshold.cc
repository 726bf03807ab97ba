// SPDX-License-Identifier: Apache-2.0
//
// Threshold slots. Whether a share opens is for its own kind of identity to say; here they are
// counted. docs/format.md, "Threshold slot".
#include "keymgr/threshold/threshold.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "keymgr/threshold/shares.h"

namespace ckptseal {
namespace {

constexpr std::uint16_t own_kind = static_cast<std::uint16_t>(SlotKind::threshold);
constexpr std::size_t largest_share_body = 16384;
constexpr std::size_t largest_body = 65536;  // of any slot

// A share is no threshold again. Of what kind it else is, its reader finds out.
bool may_be_share(const SlotBody& body) {
  return body.kind != own_kind && !body.bytes.empty() && body.bytes.size() <= largest_share_body;
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
      : identities_(identities), gave_(identities.size()), of_(of) {}

  Status open(const ThresholdSlot& slot) {
    for (std::size_t i = 0; i < slot.shares.size() && shares_.size() < slot.needed; ++i) {
      CKPTSEAL_TRY(open_share(slot.shares[i], static_cast<std::uint8_t>(i + 1)));
    }
    return {};
  }

  std::span<const Share> shares() const { return shares_; }

  // Of the shares that were skipped, but not `answer`: whoever gets that tells it.
  void tell(const SkipWarning& warn, const std::string& answer) const {
    if (!warn) return;
    for (const std::string& sentence : skipped_) {
      if (sentence != answer) warn(sentence);
    }
  }

  // A passphrase that gave one value is not wrong, though it was tried on the shares of others.
  std::optional<Error> heaviest() const {
    Refusals all;
    for (const Refusal& refusal : refusals_) {
      if (!refusal.by_trial || refusal.error.code != Code::policy || !gave_[refusal.identity]) {
        all.add(refusal.error);
      }
    }
    return all.heaviest();
  }

 private:
  struct Refusal {
    std::size_t identity;
    bool by_trial;  // whose the share is only trying tells
    Error error;
  };

  static bool is_by_trial(const SlotBody& share) {
    return share.kind == static_cast<std::uint16_t>(SlotKind::passphrase) ||
           share.kind == static_cast<std::uint16_t>(SlotKind::recovery);
  }

  Status open_share(const SlotBody& share, std::uint8_t number) {
    for (std::size_t i = 0; i < identities_.size(); ++i) {
      auto value = identities_[i]->unwrap(share, of_);
      if (value.ok() && value.value() && value.value()->size() != data_key_size) value = damaged();
      if (!value.ok() && value.error().code == Code::usage) return value.error();
      if (!value.ok()) {
        remember({i, is_by_trial(share), std::move(value).error()});
      } else if (value.value()) {
        gave_[i] = true;
        shares_.push_back({number, *std::move(value).value()});
        return {};
      }
    }
    return {};
  }

  // Several identities may say the same of one share.
  void remember(Refusal refusal) {
    const std::string& message = refusal.error.message;
    const bool known = std::find(skipped_.begin(), skipped_.end(), message) != skipped_.end();
    if (is_skipped(refusal.error.code) && !known) skipped_.push_back(message);
    refusals_.push_back(std::move(refusal));
  }

  std::span<Identity* const> identities_;
  std::vector<bool> gave_;
  const Checkpoint& of_;
  std::vector<std::string> skipped_;
  std::vector<Refusal> refusals_;
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
  CKPTSEAL_TRY(opener.open(parsed));
  const std::size_t opened = opener.shares().size();
  if (opened < parsed.needed) {
    std::optional<Error> error = opener.heaviest();
    opener.tell(warn_, error ? error->message : "");
    const std::string too_few = fmt::format(
        "This file needs {} of {} recipients together and only {} opened: name more "
        "identities with --identity.",
        parsed.needed, parsed.shares.size(), opened);
    // Who searches warns of what is skipped, which a wrong passphrase alone is not.
    if (error && !is_skipped(error->code) && warn_) warn_(too_few);
    if (error) return *std::move(error);
    if (opened == 0) return std::optional<Secret>();
    return Error{Code::no_slot, too_few, 0};
  }
  opener.tell(warn_, "");
  CKPTSEAL_ASSIGN(Secret data_key, join_shares(opener.shares()));
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
