// SPDX-License-Identifier: Apache-2.0
//
// Passphrase slots over libargon2, whose memory is bounded, never dumped and never swapped if the
// limits of the process allow it.
#include "keymgr/passphrase/passphrase.h"

#include <argon2.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <string_view>

namespace ckptseal {
namespace {

constexpr std::uint8_t kdf_argon2id = 1;
constexpr std::string_view purpose = "ckpt-seal/v1/passphrase";

constexpr std::size_t largest_passphrase = 1024;
constexpr std::uint32_t kib_per_gib = 1U << 20;
constexpr std::uint32_t largest_memory_kib = 4 * kib_per_gib;
constexpr std::uint32_t largest_passes = 16;
constexpr std::uint32_t largest_lanes = 16;
constexpr std::uint32_t work_of_lane_kib = 64;  // docs/format.md, "Which slot opens"
constexpr std::uint32_t blocks_per_lane = 8;    // RFC 9106, section 3.1: m is at least 8 * p

bool in_range(const Argon2Cost& cost) {
  return cost.lanes >= 1 && cost.lanes <= largest_lanes && cost.passes >= 1 &&
         cost.passes <= largest_passes && cost.memory_kib >= blocks_per_lane * cost.lanes &&
         cost.memory_kib <= largest_memory_kib;
}

std::uint32_t half_in_kib(std::uint64_t machine_memory, std::uint32_t at_most) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(machine_memory / 2048, at_most));
}

// Memory of its own for libargon2: not in core dumps or in children, gone from the process at once.
int allocate_blocks(std::uint8_t** memory, std::size_t size) {
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return ARGON2_MEMORY_ALLOCATION_ERROR;
  *memory = static_cast<std::uint8_t*>(mapped);
  if (madvise(mapped, size, MADV_DONTDUMP) != 0 || madvise(mapped, size, MADV_DONTFORK) != 0) {
    munmap(mapped, size);
    *memory = nullptr;
    return ARGON2_MEMORY_ALLOCATION_ERROR;
  }
  (void)mlock(mapped, size);  // an unprivileged user may lock less than this
  return ARGON2_OK;
}

void free_blocks(std::uint8_t* memory, std::size_t size) { munmap(memory, size); }

Result<Secret> derive_key(const Secret& passphrase, ByteView salt, const Argon2Cost& cost) {
  if (passphrase.size() == 0) {
    return Error{Code::usage, "The passphrase is empty: give one.", 0};
  }
  if (passphrase.size() > largest_passphrase) {
    return Error{Code::usage, "The passphrase is longer than 1024 bytes: use a shorter one.", 0};
  }
  CKPTSEAL_ASSIGN(Secret key, Secret::make(32));
  argon2_context context{};
  context.out = key.mutable_view().data();
  context.outlen = static_cast<std::uint32_t>(key.size());
  // Both are only read: ARGON2_FLAG_CLEAR_PASSWORD is not set.
  context.pwd = const_cast<std::uint8_t*>(passphrase.view().data());
  context.pwdlen = static_cast<std::uint32_t>(passphrase.size());
  context.salt = const_cast<std::uint8_t*>(salt.data());
  context.saltlen = static_cast<std::uint32_t>(salt.size());
  context.t_cost = cost.passes;
  context.m_cost = cost.memory_kib;
  context.lanes = cost.lanes;
  context.threads = cost.lanes;
  context.version = ARGON2_VERSION_13;
  context.allocate_cbk = allocate_blocks;
  context.free_cbk = free_blocks;
  context.flags = ARGON2_DEFAULT_FLAGS;
  const int code = argon2id_ctx(&context);
  if (code == ARGON2_OK) return key;
  return Error{Code::failed,
               fmt::format("Cannot derive a key from the passphrase in {} MiB of memory: {}; free "
                           "memory and try again.",
                           (cost.memory_kib + 1023) / 1024, argon2_error_message(code)),
               static_cast<std::uint32_t>(-code)};
}

Bytes associated_data(const CheckpointId& id) {
  return ByteWriter().bytes(as_bytes(purpose)).bytes(id).take();
}

// Zero is right: the key has a salt of its own and encrypts this one message.
constexpr Nonce only_nonce{};

}  // namespace

Argon2Cost recommended_cost(std::uint64_t machine_memory) {
  constexpr std::uint32_t lanes = 4;
  const std::uint32_t memory = half_in_kib(machine_memory, kib_per_gib / 4);
  return {std::max(memory, blocks_per_lane * lanes), 3, lanes};
}

std::uint32_t default_memory_limit_kib(std::uint64_t machine_memory) {
  return half_in_kib(machine_memory, kib_per_gib);
}

Bytes PassphraseSlot::serialize() const {
  ByteWriter out;
  out.u8(kdf_argon2id).bytes(salt).u32(cost.memory_kib).u32(cost.passes).u32(cost.lanes);
  return out.bytes(wrapped_key).bytes(tag).take();
}

Result<PassphraseSlot> PassphraseSlot::parse(ByteView body) {
  ByteReader in(body);
  const std::uint8_t kdf = in.u8();
  if (in.ok() && kdf != kdf_argon2id) {
    return Error{
        Code::no_slot,
        fmt::format("A passphrase slot of this file has a key derivation of form {}, which "
                    "needs a newer ckpt-seal: update it.",
                    kdf),
        0};
  }
  PassphraseSlot out;
  out.salt = in.array<16>();
  out.cost.memory_kib = in.u32();
  out.cost.passes = in.u32();
  out.cost.lanes = in.u32();
  out.wrapped_key = in.array<data_key_size>();
  out.tag = in.array<16>();
  if (!in.at_end() || !in_range(out.cost)) {
    return Error{Code::integrity,
                 "A passphrase slot of this file has a wrong length or an absurd cost: the file is "
                 "damaged or altered, so use another copy.",
                 0};
  }
  return out;
}

Result<SlotBody> PassphraseRecipient::wrap(const Secret& data_key, const Checkpoint& of) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  if (!in_range(cost_)) {
    return Error{Code::usage,
                 "The cost of a passphrase is out of range: use 1 to 16 lanes, 1 to 16 passes, and "
                 "8 KiB a lane to 4 GiB of memory.",
                 0};
  }
  PassphraseSlot slot;
  slot.cost = cost_;
  CKPTSEAL_ASSIGN(slot.salt, random_array<16>());
  CKPTSEAL_ASSIGN(const Secret key, derive_key(passphrase_, slot.salt, cost_));
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(Cipher::aes_256_gcm, key));
  CKPTSEAL_ASSIGN(Secret wrapped, Secret::copy_of(data_key.view()));
  CKPTSEAL_ASSIGN(slot.tag,
                  aead.encrypt(only_nonce, associated_data(of.id), wrapped.mutable_view()));
  std::copy(wrapped.view().begin(), wrapped.view().end(), slot.wrapped_key.begin());
  return SlotBody{static_cast<std::uint16_t>(SlotKind::passphrase), slot.serialize()};
}

// Whoever made the file may have put many costly slots there.
Status PassphraseIdentity::spend(const Argon2Cost& cost) {
  const std::uint64_t work =
      std::uint64_t{std::max(cost.memory_kib, work_of_lane_kib * cost.lanes)} * cost.passes;
  if (work > work_left_) {
    return Error{
        Code::failed,
        "The passphrase slots of this file want more work than one run does: allow more with "
        "--max-memory, or open it another way.",
        0};
  }
  work_left_ -= work;
  return {};
}

Result<std::optional<Secret>> PassphraseIdentity::unwrap(const SlotBody& slot,
                                                         const Checkpoint& of) {
  if (slot.kind != static_cast<std::uint16_t>(SlotKind::passphrase)) {
    return std::optional<Secret>();
  }
  CKPTSEAL_ASSIGN(const PassphraseSlot parsed, PassphraseSlot::parse(slot.bytes));
  if (parsed.cost.memory_kib > memory_limit_kib_) {
    return Error{
        Code::failed,
        fmt::format("Opening by this passphrase needs {} MiB of memory and the limit is {} "
                    "MiB: allow more with --max-memory, or use another machine.",
                    (parsed.cost.memory_kib + 1023) / 1024, memory_limit_kib_ / 1024),
        0};
  }
  CKPTSEAL_TRY(spend(parsed.cost));
  CKPTSEAL_ASSIGN(const Secret key, derive_key(passphrase_, parsed.salt, parsed.cost));
  CKPTSEAL_ASSIGN(Aead aead, Aead::make(Cipher::aes_256_gcm, key));
  CKPTSEAL_ASSIGN(Secret data_key, Secret::copy_of(parsed.wrapped_key));
  CKPTSEAL_ASSIGN(const bool fits, aead.decrypt(only_nonce, associated_data(of.id),
                                                data_key.mutable_view(), parsed.tag));
  if (!fits) {
    return Error{Code::policy,
                 "The passphrase is wrong, or its slot was altered: try again, or use another copy "
                 "of the file.",
                 0};
  }
  return std::optional<Secret>(std::move(data_key));
}

}  // namespace ckptseal
