// SPDX-License-Identifier: Apache-2.0
//
// What the TPM said of approvals whose signatures it verified: with its ticket it need not verify
// again, not even after a reboot. docs/state.md, "tpm/tickets". Nothing in it is trusted: the TPM
// refuses a ticket that it did not make.
#pragma once

#include <functional>
#include <vector>

#include "base/bytes.h"
#include "policies/approval.h"
#include "policies/tpm_public.h"

namespace ckptseal {

class TicketCache {
 public:
  // `save` is given the new content each time that it changes; its failure costs time alone.
  // What is damaged counts as empty.
  TicketCache(ByteView content, std::function<void(const Bytes&)> save);

  // Empty when there is none.
  Bytes find(const Approval& approval) const;
  // How recently its ticket was of use: 0 the last one; as many as there are when it has none.
  std::size_t age(const Approval& approval) const;
  void keep(const Approval& approval, const Bytes& ticket);

  static constexpr std::size_t largest_file = 4096;

 private:
  struct Entry {
    Digest hash{};  // Approval::release_hash()
    TpmName key{};
    Bytes ticket;
  };
  Bytes serialize() const;

  std::vector<Entry> entries_;  // the last used first
  std::function<void(const Bytes&)> save_;
};

}  // namespace ckptseal
