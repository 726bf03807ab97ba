// SPDX-License-Identifier: Apache-2.0
//
// A session with the one token that a URI names, and what fails there in words. PKCS #11 2.40.
#pragma once

#include <p11-kit/pkcs11.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "keymgr/pkcs11/module_lock.h"
#include "keymgr/pkcs11/token_uri.h"

namespace ckptseal {

class Token {
 public:
  enum class Access : std::uint8_t { read, change };

  // Takes the module's lock, loads and initializes it, and opens a session.
  static Result<Token> open(const TokenUri& uri, Access access = Access::read);
  Token(Token&&) noexcept = default;
  Token& operator=(Token&&) = delete;
  ~Token();

  const std::string& label() const { return label_; }
  const std::string& manufacturer() const { return manufacturer_; }
  // The same for no other token: serial number, and whose it is.
  const std::string& id() const { return id_; }
  // Says of itself that it is a device, and no program.
  bool is_hardware() const { return hardware_; }
  bool wants_pin() const { return wants_login() && !has_keypad(); }

  // As the user, once; `ask` is not called when the token has a keypad or wants no PIN.
  template <typename Ask>
  Status log_in(Ask ask) {
    if (logged_in_ || !wants_login()) return {};
    CKPTSEAL_TRY(check_pin_state());
    if (has_keypad()) return log_in_with(nullptr);
    unlock_module();  // somebody may have to type it
    CKPTSEAL_ASSIGN(const Secret pin, ask(label_));
    CKPTSEAL_TRY(lock_module());
    return log_in_with(&pin);
  }

  // Lets other processes use the module while this token is kept; nothing is asked of it until
  // lock_module(), which does nothing when it is locked, has succeeded.
  void unlock_module() { lock_.reset(); }
  Status lock_module();

  // Objects with the attributes of the URI and these.
  Result<std::vector<CK_OBJECT_HANDLE>> find_named(CK_OBJECT_CLASS kind);
  Result<std::vector<CK_OBJECT_HANDLE>> find(std::vector<CK_ATTRIBUTE> wanted);
  // nullopt when the object has no such attribute, or does not show it.
  Result<std::optional<Bytes>> attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
  Result<std::optional<CK_ULONG>> number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
  // Whether the token can do this at all.
  Result<bool> has_mechanism(CK_MECHANISM_TYPE mechanism, CK_FLAGS use);

  CK_FUNCTION_LIST& functions() { return *module_; }
  CK_SESSION_HANDLE session() const { return session_; }
  // Of a call that answered `code`: what every call can meet, else "WHAT failed".
  Error error(CK_RV code, std::string_view what) const;

 private:
  struct Unload {
    void operator()(CK_FUNCTION_LIST* module) const;
  };
  using Module = std::unique_ptr<CK_FUNCTION_LIST, Unload>;

  explicit Token(TokenUri uri) : uri_(std::move(uri)) {}
  Status load_module();
  Status find_token();
  Result<bool> matches(CK_SLOT_ID slot) const;
  Result<CK_FLAGS> flags() const;
  bool wants_login() const;
  bool has_keypad() const;
  Status check_pin_state() const;
  Status log_in_with(const Secret* pin);
  Error wrong_pin(CK_RV code) const;

  TokenUri uri_;
  std::optional<ModuleLock> lock_;
  Module module_;
  CK_SLOT_ID slot_ = 0;
  CK_FLAGS first_flags_ = 0;
  std::string label_;  // as a label has to be, like the next
  std::string manufacturer_;
  std::string id_;
  bool hardware_ = false;
  CK_SESSION_HANDLE session_ = 0;
  bool logged_in_ = false;
};

// The value of CKA_EC_POINT without the OCTET STRING that it is in; tokens that take the standard
// lightly leave that out. `size` is that of the point.
ByteView bare_ec_point(ByteView value, std::size_t size);

}  // namespace ckptseal
