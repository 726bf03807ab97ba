// SPDX-License-Identifier: Apache-2.0
//
// The AEADs: AES-256-GCM of libipsec-mb where it runs, which is a third faster, everything else
// GnuTLS's.
#include <fmt/format.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <stdexcept>

#include "base/crypto.h"
#include "base/ipsec_mb_internal.h"

namespace ckptseal {
namespace {

Error gnutls_error(const char* what, int code) {
  return Error{Code::failed, fmt::format("{}: {}.", what, gnutls_strerror(code)),
               static_cast<std::uint32_t>(-code)};
}

// GnuTLS takes a key of 16 bytes for AES-256-GCM, and makes it AES-128-GCM.
Status check_key(const Secret& key) {
  if (key.size() != 32) return Error{Code::failed, "A key of the cipher has 32 bytes.", 0};
  return {};
}

}  // namespace

class Aead::State {
 public:
  virtual ~State() = default;
  virtual Result<Tag> encrypt(const Nonce& nonce, ByteView associated, MutableByteView data) = 0;
  virtual Result<bool> decrypt(const Nonce& nonce, ByteView associated, MutableByteView data,
                               const Tag& tag) = 0;
};

class Aead::GnutlsState : public Aead::State {
 public:
  static Result<std::unique_ptr<State>> make(Cipher cipher, const Secret& key) {
    const gnutls_datum_t key_datum = {const_cast<unsigned char*>(key.view().data()),
                                      static_cast<unsigned>(key.size())};
    const auto algorithm =
        cipher == Cipher::aes_256_gcm ? GNUTLS_CIPHER_AES_256_GCM : GNUTLS_CIPHER_CHACHA20_POLY1305;
    gnutls_aead_cipher_hd_t handle = nullptr;
    const int code = gnutls_aead_cipher_init(&handle, algorithm, &key_datum);
    if (code < 0) return gnutls_error("Cannot set up the cipher", code);
    return std::unique_ptr<State>(std::make_unique<GnutlsState>(handle));
  }
  explicit GnutlsState(gnutls_aead_cipher_hd_t handle)
      : handle_(handle, gnutls_aead_cipher_deinit) {}

  Result<Tag> encrypt(const Nonce& nonce, ByteView associated, MutableByteView data) override {
    const giovec_t associated_part = vector_of(associated);
    const giovec_t data_part = vector_of(data);
    Tag tag{};
    std::size_t tag_size = tag.size();
    const int code = gnutls_aead_cipher_encryptv2(
        handle_.get(), nonce.data(), nonce.size(), &associated_part, associated.empty() ? 0 : 1,
        &data_part, data.empty() ? 0 : 1, tag.data(), &tag_size);
    if (code < 0) return gnutls_error("Cannot encrypt", code);
    return tag;
  }

  Result<bool> decrypt(const Nonce& nonce, ByteView associated, MutableByteView data,
                       const Tag& tag) override {
    const giovec_t associated_part = vector_of(associated);
    const giovec_t data_part = vector_of(data);
    const int code = gnutls_aead_cipher_decryptv2(
        handle_.get(), nonce.data(), nonce.size(), &associated_part, associated.empty() ? 0 : 1,
        &data_part, data.empty() ? 0 : 1, const_cast<std::uint8_t*>(tag.data()), tag.size());
    if (code == 0) return true;
    if (code == GNUTLS_E_DECRYPTION_FAILED) return false;
    return gnutls_error("Cannot decrypt", code);
  }

 private:
  static giovec_t vector_of(ByteView bytes) {
    return {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  }

  std::unique_ptr<api_aead_cipher_hd_st, void (*)(gnutls_aead_cipher_hd_t)> handle_;
};

#ifdef CKPTSEAL_IPSEC_MB

class Aead::IpsecMbState : public Aead::State {
 public:
  // nullptr: not on this processor.
  static Result<std::unique_ptr<State>> make(const Secret& key) {
    IMB_MGR* manager = ipsec_mb();
    if (manager == nullptr) return std::unique_ptr<State>();
    CKPTSEAL_ASSIGN(Secret schedule, Secret::make(sizeof(gcm_key_data)));
    auto state = std::make_unique<IpsecMbState>(std::move(schedule));
    IMB_AES256_GCM_PRE(manager, key.view().data(), &state->schedule());
    must_have_worked(*manager);
    return std::unique_ptr<State>(std::move(state));
  }
  explicit IpsecMbState(Secret schedule) : schedule_(std::move(schedule)) {}

  Result<Tag> encrypt(const Nonce& nonce, ByteView associated, MutableByteView data) override {
    Tag tag{};
    Context context;
    IMB_MGR& manager = manager_of_this_thread();
    IMB_AES256_GCM_ENC(&manager, &schedule(), &context.data, data.data(), data.data(), data.size(),
                       nonce.data(), associated.data(), associated.size(), tag.data(), tag.size());
    must_have_worked(manager);
    return tag;
  }

  Result<bool> decrypt(const Nonce& nonce, ByteView associated, MutableByteView data,
                       const Tag& tag) override {
    Tag computed{};
    Context context;
    IMB_MGR& manager = manager_of_this_thread();
    IMB_AES256_GCM_DEC(&manager, &schedule(), &context.data, data.data(), data.data(), data.size(),
                       nonce.data(), associated.data(), associated.size(), computed.data(),
                       computed.size());
    must_have_worked(manager);
    return equal_constant_time(computed, tag);
  }

 private:
  // It holds a block of the key stream.
  struct Context {
    Context() = default;
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { wipe({reinterpret_cast<std::uint8_t*>(&data), sizeof data}); }
    gcm_context_data data = {};
  };

  // Pages begin where any type may.
  gcm_key_data& schedule() {
    return *reinterpret_cast<gcm_key_data*>(schedule_.mutable_view().data());
  }
  static IMB_MGR& manager_of_this_thread() {
    IMB_MGR* manager = ipsec_mb();
    if (manager == nullptr) throw std::bad_alloc();
    return *manager;
  }
  // What cannot fail but for a broken library throws, as in base/crypto.cc.
  static void must_have_worked(IMB_MGR& manager) {
    if (imb_get_errno(&manager) != 0) throw std::runtime_error("libipsec-mb does not encrypt");
  }

  Secret schedule_;
};

#endif

Aead::Aead(std::unique_ptr<State> state) : state_(std::move(state)) {}
Aead::Aead(Aead&&) noexcept = default;
Aead& Aead::operator=(Aead&&) noexcept = default;
Aead::~Aead() = default;

Result<Aead> Aead::make(Cipher cipher, const Secret& key) {
#ifdef CKPTSEAL_IPSEC_MB
  if (cipher == Cipher::aes_256_gcm) {
    CKPTSEAL_TRY(check_key(key));
    CKPTSEAL_ASSIGN(std::unique_ptr<State> state, IpsecMbState::make(key));
    if (state) return Aead(std::move(state));
  }
#endif
  return make_portable(cipher, key);
}

Result<Aead> Aead::make_portable(Cipher cipher, const Secret& key) {
  CKPTSEAL_TRY(check_key(key));
  CKPTSEAL_ASSIGN(std::unique_ptr<State> state, GnutlsState::make(cipher, key));
  return Aead(std::move(state));
}

Result<Tag> Aead::encrypt(const Nonce& nonce, ByteView associated, MutableByteView data) {
  return state_->encrypt(nonce, associated, data);
}

Result<bool> Aead::decrypt(const Nonce& nonce, ByteView associated, MutableByteView data,
                           const Tag& tag) {
  Result<bool> fits = state_->decrypt(nonce, associated, data, tag);
  if (!fits.ok() || !fits.value()) wipe(data);
  return fits;
}

}  // namespace ckptseal
