// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include <algorithm>

#include "keymgr/pkcs11/token_internal.h"
#include "keymgr/public_key/slot.h"

namespace ckptseal {
namespace {

// Far more than a certificate has, so that a token cannot make us allocate what it likes.
constexpr CK_ULONG largest_attribute = 1 << 16;
constexpr std::size_t most_objects = 16;

std::string name_of(CK_RV code) {
  const char* text = p11_kit_strerror(code);
  return fmt::format("{} (0x{:x})", text == nullptr ? "unknown" : text, code);
}

Error failure(Code code, CK_RV cause, std::string sentence) {
  return {code, std::move(sentence), static_cast<std::uint32_t>(cause)};
}

bool is_gone(CK_RV code) {
  switch (code) {
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_ERROR:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return true;
    default:
      return false;
  }
}

bool is_full(CK_RV code) {
  return code == CKR_DEVICE_MEMORY || code == CKR_HOST_MEMORY || code == CKR_SESSION_COUNT;
}

bool is_wrong_pin(CK_RV code) {
  return code == CKR_PIN_INCORRECT || code == CKR_PIN_INVALID || code == CKR_PIN_LEN_RANGE;
}

// Text of a fixed size, padded with blanks.
template <std::size_t size>
std::string trimmed(const unsigned char (&text)[size]) {
  return label_of({reinterpret_cast<const char*>(text), p11_kit_space_strlen(text, size)});
}

}  // namespace

void Token::Unload::operator()(CK_FUNCTION_LIST* module) const { p11_kit_module_release(module); }

Token::~Token() {
  if (!module_) return;
  // Ends the session, too; whether it succeeds changes nothing.
  p11_kit_module_finalize(module_.get());
}

Result<Token> Token::open(const TokenUri& uri, Access access) {
  Token token(uri);
  CKPTSEAL_TRY(token.lock_module());
  CKPTSEAL_TRY(token.load_module());
  CKPTSEAL_TRY(token.find_token());
  const CK_FLAGS flags =
      CKF_SERIAL_SESSION | (access == Access::change ? CK_FLAGS{CKF_RW_SESSION} : CK_FLAGS{0});
  const CK_RV code =
      token.module_->C_OpenSession(token.slot_, flags, nullptr, nullptr, &token.session_);
  if (code != CKR_OK) return token.error(code, "opening a session");
  return token;
}

Status Token::lock_module() {
  if (lock_) return {};
  CKPTSEAL_ASSIGN(ModuleLock lock, ModuleLock::take(uri_.module()));
  lock_.emplace(std::move(lock));
  return {};
}

Status Token::load_module() {
  p11_kit_be_quiet();
  Module module(p11_kit_module_load(uri_.module().c_str(), 0));
  if (!module) {
    const char* why = p11_kit_message();
    return failure(
        Code::unavailable, 0,
        fmt::format("Cannot load the PKCS #11 module {} ({}); install it, or name another "
                    "with module-path.",
                    uri_.module(), why == nullptr ? "no reason given" : why));
  }
  const CK_RV code = p11_kit_module_initialize(module.get());
  if (code != CKR_OK) {
    return failure(
        Code::unavailable, code,
        fmt::format("The PKCS #11 module {} does not start: {}; see its own settings and "
                    "whether its service runs.",
                    uri_.module(), name_of(code)));
  }
  module_ = std::move(module);
  return {};
}

Status Token::find_token() {
  CK_ULONG count = 0;
  CK_RV code = module_->C_GetSlotList(CK_TRUE, nullptr, &count);
  if (code != CKR_OK) return error(code, "listing tokens");
  std::vector<CK_SLOT_ID> slots(std::min<CK_ULONG>(count, 4096));
  count = slots.size();
  code = module_->C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (code != CKR_OK) return error(code, "listing tokens");
  slots.resize(std::min<CK_ULONG>(count, slots.size()));

  std::vector<CK_SLOT_ID> fitting;
  for (const CK_SLOT_ID slot : slots) {
    CKPTSEAL_ASSIGN(const bool fits, matches(slot));
    if (fits) fitting.push_back(slot);
  }
  if (fitting.empty()) {
    return failure(Code::unavailable, 0,
                   fmt::format("No token of the module {} is {}: put it in, or correct the URI.",
                               uri_.module(), uri_.name()));
  }
  if (fitting.size() > 1) {
    return failure(Code::usage, 0,
                   fmt::format("{} tokens are {}: say which one with serial= in the URI.",
                               fitting.size(), uri_.name()));
  }
  slot_ = fitting.front();
  CK_TOKEN_INFO info = {};
  code = module_->C_GetTokenInfo(slot_, &info);
  if (code != CKR_OK) return error(code, "reading about the token");
  first_flags_ = info.flags;
  label_ = trimmed(info.label);
  manufacturer_ = trimmed(info.manufacturerID);
  id_ = fmt::format("{}/{}/{}/{}", trimmed(info.serialNumber), manufacturer_, trimmed(info.model),
                    label_);
  CK_SLOT_INFO slot_info = {};
  code = module_->C_GetSlotInfo(slot_, &slot_info);
  if (code != CKR_OK) return error(code, "reading about its slot");
  hardware_ = (slot_info.flags & CKF_HW_SLOT) != 0;
  return {};
}

// An empty slot is no match. One whose token does not answer is an error: it may be the one that is
// meant, or a second one.
Result<bool> Token::matches(CK_SLOT_ID slot) const {
  const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri_.get());
  if (wanted != static_cast<CK_SLOT_ID>(-1) && wanted != slot) return false;
  CK_INFO module_info = {};
  CK_RV code = module_->C_GetInfo(&module_info);
  if (code != CKR_OK) return error(code, "reading about the module");
  CK_SLOT_INFO slot_info = {};
  code = module_->C_GetSlotInfo(slot, &slot_info);
  if (code != CKR_OK) return error(code, "reading about a slot");
  CK_TOKEN_INFO token_info = {};
  code = module_->C_GetTokenInfo(slot, &token_info);
  if (code == CKR_TOKEN_NOT_PRESENT || code == CKR_TOKEN_NOT_RECOGNIZED) return false;
  if (code != CKR_OK) return error(code, "reading about a token");
  // An empty one for the next to come, as SoftHSM has it.
  if ((token_info.flags & CKF_TOKEN_INITIALIZED) == 0) return false;
  return p11_kit_uri_match_module_info(uri_.get(), &module_info) == 1 &&
         p11_kit_uri_match_slot_info(uri_.get(), &slot_info) == 1 &&
         p11_kit_uri_match_token_info(uri_.get(), &token_info) == 1;
}

Result<CK_FLAGS> Token::flags() const {
  CK_TOKEN_INFO info = {};
  const CK_RV code = module_->C_GetTokenInfo(slot_, &info);
  if (code != CKR_OK) return error(code, "reading about the token");
  return info.flags;
}

bool Token::wants_login() const { return (first_flags_ & CKF_LOGIN_REQUIRED) != 0; }

bool Token::has_keypad() const { return (first_flags_ & CKF_PROTECTED_AUTHENTICATION_PATH) != 0; }

// Before a PIN is spent on it.
Status Token::check_pin_state() const {
  if ((first_flags_ & CKF_USER_PIN_LOCKED) != 0) return error(CKR_PIN_LOCKED, "logging in");
  if ((first_flags_ & CKF_USER_PIN_INITIALIZED) == 0) {
    return error(CKR_USER_PIN_NOT_INITIALIZED, "logging in");
  }
  return {};
}

Status Token::log_in_with(const Secret* pin) {
  // The module does not change it, and PKCS #11 has no const.
  auto* bytes = pin == nullptr ? nullptr : const_cast<std::uint8_t*>(pin->view().data());
  const CK_RV code = module_->C_Login(session_, CKU_USER, bytes, pin == nullptr ? 0 : pin->size());
  if (is_wrong_pin(code)) return wrong_pin(code);
  if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return error(code, "logging in");
  logged_in_ = true;
  return {};
}

// PKCS #11 does not count tries; it has three flags.
Error Token::wrong_pin(CK_RV code) const {
  const Result<CK_FLAGS> now = flags();
  const CK_FLAGS known = now.ok() ? now.value() : 0;
  if ((known & CKF_USER_PIN_LOCKED) != 0) {
    return failure(
        Code::locked, code,
        fmt::format("The PIN of the token \"{}\" is wrong, and this was its last try: it "
                    "is locked now; have its security officer set a new PIN.",
                    label_));
  }
  const char* left = "the token does not say how many tries are left";
  if ((known & CKF_USER_PIN_COUNT_LOW) != 0) left = "few tries are left before it locks";
  if ((known & CKF_USER_PIN_FINAL_TRY) != 0) left = "one more wrong PIN locks it";
  return failure(
      Code::policy, code,
      fmt::format("The PIN of the token \"{}\" is wrong; {}, so make sure of it and try again.",
                  label_, left));
}

Error Token::error(CK_RV code, std::string_view what) const {
  const std::string who = label_.empty() ? fmt::format("The PKCS #11 module {}", uri_.module())
                                         : fmt::format("The token \"{}\"", label_);
  if (code == CKR_PIN_LOCKED) {
    return failure(Code::locked, code,
                   fmt::format("{} is locked after too many wrong PINs: have its security officer "
                               "set a new PIN.",
                               who));
  }
  if (code == CKR_USER_PIN_NOT_INITIALIZED || code == CKR_PIN_EXPIRED) {
    return failure(Code::policy, code,
                   fmt::format("{} has no PIN that is valid: set one with its own tool.", who));
  }
  if (is_gone(code)) {
    return failure(Code::unavailable, code,
                   fmt::format("{} was removed or is out of order ({}: {}): put it back and try "
                               "again.",
                               who, what, name_of(code)));
  }
  if (is_full(code)) {
    return failure(
        Code::unavailable, code,
        fmt::format("{} has no room left ({}: {}): try again later.", who, what, name_of(code)));
  }
  return failure(Code::failed, code,
                 fmt::format("{} failed ({}: {}); see whether its own tools work with it.", who,
                             what, name_of(code)));
}

Result<std::vector<CK_OBJECT_HANDLE>> Token::find_named(CK_OBJECT_CLASS kind) {
  CK_ULONG count = 0;
  const CK_ATTRIBUTE* named = p11_kit_uri_get_attributes(uri_.get(), &count);
  std::vector<CK_ATTRIBUTE> wanted(named, named + count);
  wanted.push_back({CKA_CLASS, &kind, sizeof kind});
  return find(std::move(wanted));
}

Result<std::vector<CK_OBJECT_HANDLE>> Token::find(std::vector<CK_ATTRIBUTE> wanted) {
  CK_RV code = module_->C_FindObjectsInit(session_, wanted.data(), wanted.size());
  if (code != CKR_OK) return error(code, "looking for a key");
  std::vector<CK_OBJECT_HANDLE> found(most_objects);
  CK_ULONG count = 0;
  code = module_->C_FindObjects(session_, found.data(), found.size(), &count);
  const CK_RV ended = module_->C_FindObjectsFinal(session_);
  if (code != CKR_OK) return error(code, "looking for a key");
  if (ended != CKR_OK) return error(ended, "looking for a key");
  found.resize(std::min<CK_ULONG>(count, found.size()));
  return found;
}

Result<std::optional<Bytes>> Token::attribute(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  CK_ATTRIBUTE asked = {type, nullptr, 0};
  const auto missing = [&](CK_RV code) {
    return code == CKR_ATTRIBUTE_TYPE_INVALID || code == CKR_ATTRIBUTE_SENSITIVE ||
           // The longest of all numbers stands for "not available".
           (code == CKR_OK && asked.ulValueLen > largest_attribute);
  };
  CK_RV code = module_->C_GetAttributeValue(session_, object, &asked, 1);
  if (missing(code)) return std::optional<Bytes>();
  if (code != CKR_OK) return error(code, "reading about a key");
  Bytes value(asked.ulValueLen);
  asked.pValue = value.data();
  code = module_->C_GetAttributeValue(session_, object, &asked, 1);
  if (missing(code)) return std::optional<Bytes>();
  if (code != CKR_OK || asked.ulValueLen > value.size()) return error(code, "reading about a key");
  value.resize(asked.ulValueLen);
  return std::optional<Bytes>(std::move(value));
}

Result<std::optional<CK_ULONG>> Token::number(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  CKPTSEAL_ASSIGN(const std::optional<Bytes> bytes, attribute(object, type));
  CK_ULONG value = 0;
  if (!bytes || bytes->size() != sizeof value) return std::optional<CK_ULONG>();
  std::copy(bytes->begin(), bytes->end(), reinterpret_cast<std::uint8_t*>(&value));
  return std::optional<CK_ULONG>(value);
}

Result<bool> Token::has_mechanism(CK_MECHANISM_TYPE mechanism, CK_FLAGS use) {
  CK_MECHANISM_INFO info = {};
  const CK_RV code = module_->C_GetMechanismInfo(slot_, mechanism, &info);
  if (code == CKR_MECHANISM_INVALID) return false;
  if (code != CKR_OK) return error(code, "asking what it can do");
  return (info.flags & use) == use;
}

ByteView bare_ec_point(ByteView value, std::size_t size) {
  const bool wrapped = value.size() == size + 2 && value[0] == 0x04 && value[1] == size;
  return wrapped ? value.subspan(2) : value;
}

}  // namespace ckptseal
