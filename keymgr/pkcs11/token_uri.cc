// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/token_uri.h"

#include <fmt/format.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

namespace ckptseal {
namespace {

Error wrong(const std::string& name, std::string_view why) {
  return {Code::usage, fmt::format("{}: {}.", name, why), 0};
}

}  // namespace

void TokenUri::Free::operator()(p11_kit_uri* uri) const { p11_kit_uri_free(uri); }

Result<TokenUri> TokenUri::parse(const std::string& text) {
  TokenUri out;
  out.name_ = text.substr(0, text.find('?'));
  out.uri_.reset(p11_kit_uri_new(), Free());
  const int result = p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, out.uri_.get());
  if (result != P11_KIT_URI_OK) {
    return wrong(out.name_,
                 "it is no PKCS #11 URI (RFC 7512); write it as pkcs11:token=LABEL;object="
                 "LABEL?module-path=FILE, with %XX for other characters");
  }
  if (p11_kit_uri_any_unrecognized(out.uri_.get()) != 0) {
    return wrong(out.name_, "it has an attribute that RFC 7512 does not know; leave it out");
  }
  CKPTSEAL_TRY(out.read_query());
  // Which of the objects of one key is meant is known by what it is for.
  p11_kit_uri_clear_attribute(out.uri_.get(), CKA_CLASS);
  return out;
}

Status TokenUri::read_query() {
  if (p11_kit_uri_get_pin_value(uri_.get()) != nullptr) {
    return wrong(name_,
                 "a PIN on the command line can be read by others; give it with pin-source "
                 "or --passphrase-fd, and change it");
  }
  const char* path = p11_kit_uri_get_module_path(uri_.get());
  const char* module_name = p11_kit_uri_get_module_name(uri_.get());
  if (path != nullptr && path[0] == '/') {
    module_ = path;
  } else if (path == nullptr && module_name != nullptr && module_name[0] != '\0' &&
             std::string_view(module_name).find('/') == std::string_view::npos) {
    module_ = fmt::format("lib{}.so", module_name);
  } else {
    return wrong(name_,
                 "it does not say which module reaches the token; add ?module-path= and the "
                 "absolute path of the module's library");
  }
  const char* source = p11_kit_uri_get_pin_source(uri_.get());
  if (source == nullptr) return {};
  std::string_view file = source;
  if (file.starts_with("file:")) file.remove_prefix(5);
  if (file.starts_with("///")) file.remove_prefix(2);  // an empty host, RFC 8089
  if (!file.starts_with("/") || file.starts_with("//")) {
    return wrong(name_, "its pin-source is not the absolute path of a file; name one");
  }
  pin_file_ = file;
  return {};
}

}  // namespace ckptseal
