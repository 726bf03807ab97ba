// SPDX-License-Identifier: Apache-2.0
#include "cli/sealing/named_slots.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "cli/sealing/key_files.h"
#include "keymgr/pkcs11/token_key.h"
#include "keymgr/pkcs11/token_uri.h"
#include "keymgr/public_key/hybrid_slot.h"
#include "keymgr/tpm2/slot.h"

namespace ckptseal {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_digest(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

SlotRemoval slots_of_kind(std::string name, SlotKind kind) {
  return {std::move(name), [kind](std::size_t, const SlotBody& slot) -> Result<bool> {
            return slot.kind == static_cast<std::uint16_t>(kind);
          }};
}

// Of the host with that identity, whatever its record said then, or of the key with that id.
SlotRemoval slots_of(std::string name, const Digest& digest) {
  return {std::move(name), [digest](std::size_t, const SlotBody& slot) -> Result<bool> {
            if (slot.kind == static_cast<std::uint16_t>(SlotKind::public_key)) {
              return key_id_of(slot.bytes) == digest;
            }
            if (slot.kind == static_cast<std::uint16_t>(SlotKind::hybrid)) {
              return hybrid_key_id_of(slot.bytes) == digest;
            }
            if (slot.kind != static_cast<std::uint16_t>(SlotKind::tpm2)) return false;
            return Tpm2Slot::recipient_of(slot.bytes) == digest;
          }};
}

// The key is read from its token, in the helper, when the first slot is looked at.
Result<SlotRemoval> slots_of_token(const std::string& name) {
  CKPTSEAL_ASSIGN(TokenUri uri, TokenUri::parse(name));
  std::string shown = uri.name();
  auto found = std::make_shared<std::optional<KeyId>>();
  return SlotRemoval{
      std::move(shown),
      [uri = std::move(uri), found](std::size_t, const SlotBody& slot) -> Result<bool> {
        if (!*found) {
          CKPTSEAL_ASSIGN(*found, token_key_id(uri));
        }
        return slot.kind == static_cast<std::uint16_t>(SlotKind::public_key) &&
               key_id_of(slot.bytes) == **found;
      }};
}

}  // namespace

Result<SlotRemoval> slots_named(const HostAccess& host, const std::string& name) {
  if (name == "passphrase") return slots_of_kind(name, SlotKind::passphrase);
  if (name == "recovery") return slots_of_kind(name, SlotKind::recovery);
  if (is_number(name)) {
    std::size_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    return SlotRemoval{name, [number](std::size_t index, const SlotBody&) -> Result<bool> {
                         return index == number;
                       }};
  }
  if (TokenUri::looks_like_one(name)) return slots_of_token(name);
  if (is_digest(name)) {
    CKPTSEAL_ASSIGN(const Digest digest, parse_fingerprint(name));
    return slots_of(name, digest);
  }
  if (names_file(name)) {
    CKPTSEAL_ASSIGN(const std::optional<NamedKey> key, read_key_file(name, nullptr));
    if (key) return slots_of(name, key->id());
  }
  if (name == "self") CKPTSEAL_TRY(host.require_provisioned());
  CKPTSEAL_ASSIGN(const SignedHostRecord record, host.trust_store().find_recipient(name));
  if (record.record().token) {
    CKPTSEAL_ASSIGN(const PublicKey key, storage_key_of(record.record()));
    return slots_of(name, key.id());
  }
  return slots_of(name, record.identity());
}

}  // namespace ckptseal
