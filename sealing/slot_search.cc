// SPDX-License-Identifier: Apache-2.0
//
// The slots in their order, and for each the identities in theirs.
#include "sealing/slot_search.h"

#include <fmt/format.h>

#include <algorithm>

#include "sealing/file_keys.h"

namespace ckptseal {
namespace {

Error not_vouched(SlotStanding standing, std::size_t index) {
  if (standing == SlotStanding::untrusted) {
    return {
        Code::untrusted,
        fmt::format("slot {} was added by somebody who is not trusted here, so nothing is tried "
                    "with it; if you trust that host, run 'ckpt-seal host trust RECORD --as "
                    "origin'",
                    index),
        0};
  }
  if (standing == SlotStanding::forged) {
    return {Code::integrity,
            fmt::format("the signature of who added slot {} holds by no key that is known here, so "
                        "nothing is tried with it; if that host has made its record anew, run "
                        "'ckpt-seal host trust RECORD --as origin'",
                        index),
            0};
  }
  return {
      Code::integrity,
      fmt::format("slot {} was put there by nobody who may, so nothing is tried with it", index),
      0};
}

Error no_slot() {
  return {Code::no_slot,
          "it has no slot for this host or identity; ask its owner to seal it for you, or name "
          "another identity with --identity",
          0};
}

// A file can have many slots, and who reads the warnings has little time.
constexpr std::size_t most_told = 10;

class Search {
 public:
  Search(const SealedFile& file, const SlotSearch& search) : file_(file), search_(search) {}

  Result<UnlockedSlot> run() {
    for (std::size_t i = 0; i < file_.header().slots.size(); ++i) {
      if (search_.only_slot && *search_.only_slot != i) continue;
      const SlotStanding standing = file_.slot_standing(i, search_.trust);
      if (standing != SlotStanding::vouched) {
        refuse(not_vouched(standing, i));
        continue;
      }
      CKPTSEAL_ASSIGN(std::optional<Secret> key, open(i));
      if (!key) continue;
      for (const auto& identity : search_.identities) CKPTSEAL_TRY(identity->before_use());
      tell("");
      return UnlockedSlot{i, *std::move(key)};
    }
    const Error answer = refusals_.empty() ? no_slot() : *refusals_.heaviest();
    tell(answer.message);
    return answer;
  }

 private:
  // nullopt: it does not open, and why was remembered.
  Result<std::optional<Secret>> open(std::size_t index) {
    const SlotBody& body = file_.header().slots[index].body;
    for (const auto& identity : search_.identities) {
      auto key = identity->unwrap(body, file_.immutable().checkpoint());
      if (!key.ok()) {
        if (key.error().code == Code::usage) return std::move(key).error();
        refuse(std::move(key).error());
        continue;
      }
      if (!key.value()) continue;
      CKPTSEAL_ASSIGN(const bool fits, is_of_file(*key.value()));
      if (fits) return key;
      refuse(
          {Code::integrity, fmt::format("slot {} holds a key that is not this file's", index), 0});
    }
    return std::optional<Secret>();
  }

  Result<bool> is_of_file(const Secret& key) const {
    if (key.size() != data_key_size) return false;
    CKPTSEAL_ASSIGN(const Digest commitment, commit_to_key(key, file_.immutable().id));
    return equal_constant_time(commitment, file_.immutable().commitment);
  }

  // Several identities may say the same of one slot.
  void refuse(Error error) {
    const bool known = std::find(skipped_.begin(), skipped_.end(), error.message) != skipped_.end();
    if (is_skipped(error.code) && !known) {
      if (skipped_.size() < most_told) {
        skipped_.push_back(error.message);
      } else {
        ++not_told_;
      }
    }
    refusals_.add(std::move(error));
  }

  // What is the answer is not a warning, too.
  void tell(const std::string& answer) const {
    if (!search_.warn) return;
    for (const std::string& sentence : skipped_) {
      if (sentence != answer) search_.warn(sentence);
    }
    if (not_told_ > 0) search_.warn(fmt::format("{} more slots are skipped", not_told_));
  }

  const SealedFile& file_;
  const SlotSearch& search_;
  Refusals refusals_;
  std::vector<std::string> skipped_;
  std::size_t not_told_ = 0;
};

}  // namespace

Result<UnlockedSlot> find_slot(const SealedFile& file, const SlotSearch& search) {
  return Search(file, search).run();
}

}  // namespace ckptseal
