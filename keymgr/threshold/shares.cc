// SPDX-License-Identifier: Apache-2.0
//
// Secret sharing by libgfshare. It asks one global function for random bytes and cannot be told
// that there are none, so they are drawn before it is called and it only takes them. It calls the
// same function to overwrite its buffers when a context goes: without random bytes to take, they
// become zero.
#include "keymgr/threshold/shares.h"

extern "C" {
#include <libgfshare.h>  // does not say itself that it is in C
}

#include <algorithm>
#include <array>
#include <memory>

#include "base/crypto.h"
#include "keymgr/recipient.h"

namespace ckptseal {
namespace {

// The random coefficients that the library takes next, in this thread; empty once it has them.
thread_local ByteView coefficients_to_take;

void give_coefficients(unsigned char* buffer, unsigned int size) {
  const MutableByteView out(buffer, size);
  wipe(out);
  if (size != coefficients_to_take.size()) return;
  std::copy(coefficients_to_take.begin(), coefficients_to_take.end(), out.begin());
  coefficients_to_take = {};
}

struct FreeContext {
  void operator()(gfshare_ctx* context) const {
    coefficients_to_take = {};
    gfshare_ctx_free(context);  // overwrites what was in it by give_coefficients()
  }
};
using Context = std::unique_ptr<gfshare_ctx, FreeContext>;

using ShareNumbers = std::array<unsigned char, largest_share_count>;

// The library's own source stays unset until here; it has no other user in this program.
void install_source() {
  static const bool installed = [] {
    gfshare_fill_rand = give_coefficients;
    return true;
  }();
  (void)installed;
}

Error no_memory() {
  return Error{Code::failed,
               "Cannot share a key among recipients for want of memory: free some and try again.",
               0};
}

// The library only reads what it takes as a secret or a share.
unsigned char* unchanged(const Secret& secret) {
  return const_cast<unsigned char*>(secret.view().data());
}

// A context with the key and random coefficients in it, or an error: none with coefficients
// missing, for then every share would be the key.
Result<Context> make_splitter(const Secret& data_key, std::size_t k, std::size_t n) {
  CKPTSEAL_ASSIGN(const Secret coefficients, random_secret((k - 1) * data_key_size));
  install_source();
  ShareNumbers numbers{};
  for (std::size_t i = 0; i < n; ++i) numbers[i] = static_cast<unsigned char>(i + 1);
  Context context(gfshare_ctx_init_enc(numbers.data(), static_cast<unsigned>(n),
                                       static_cast<unsigned char>(k), data_key_size));
  if (!context) return no_memory();
  coefficients_to_take = coefficients.view();
  gfshare_ctx_enc_setsecret(context.get(), unchanged(data_key));
  if (!coefficients_to_take.empty()) {
    return Error{Code::failed,
                 "The library that shares a key did not take its random bytes: report this bug.",
                 0};
  }
  return context;
}

bool can_be_joined(std::span<const Share> shares) {
  if (shares.size() < smallest_threshold || shares.size() > largest_share_count) return false;
  std::array<bool, largest_share_count + 1> seen{};
  for (const Share& share : shares) {
    if (share.number == 0 || share.number > largest_share_count || seen[share.number] ||
        share.value.size() != data_key_size) {
      return false;
    }
    seen[share.number] = true;
  }
  return true;
}

}  // namespace

Result<std::vector<Share>> split_key(const Secret& data_key, std::size_t k, std::size_t n) {
  if (data_key.size() != data_key_size) {
    return Error{Code::failed, "A data key has 32 bytes: report this bug.", 0};
  }
  if (n > largest_share_count || k < smallest_threshold || k > n) {
    return Error{Code::usage,
                 "A key can be shared among 2 to 16 recipients, of whom 2 to all are needed: name "
                 "other numbers.",
                 0};
  }
  CKPTSEAL_ASSIGN(const Context context, make_splitter(data_key, k, n));
  std::vector<Share> shares;
  for (std::size_t i = 0; i < n; ++i) {
    CKPTSEAL_ASSIGN(Secret value, Secret::make(data_key_size));
    gfshare_ctx_enc_getshare(context.get(), static_cast<unsigned char>(i),
                             value.mutable_view().data());
    shares.push_back({static_cast<std::uint8_t>(i + 1), std::move(value)});
  }
  return shares;
}

Result<Secret> join_shares(std::span<const Share> shares) {
  if (!can_be_joined(shares)) {
    return Error{Code::failed, "Shares that do not belong together were joined: report this bug.",
                 0};
  }
  install_source();
  ShareNumbers numbers{};
  for (std::size_t i = 0; i < shares.size(); ++i) numbers[i] = shares[i].number;
  const Context context(
      gfshare_ctx_init_dec(numbers.data(), static_cast<unsigned>(shares.size()), data_key_size));
  if (!context) return no_memory();
  for (std::size_t i = 0; i < shares.size(); ++i) {
    gfshare_ctx_dec_giveshare(context.get(), static_cast<unsigned char>(i),
                              unchanged(shares[i].value));
  }
  CKPTSEAL_ASSIGN(Secret data_key, Secret::make(data_key_size));
  gfshare_ctx_dec_extract(context.get(), data_key.mutable_view().data());
  return data_key;
}

}  // namespace ckptseal
