// SPDX-License-Identifier: Apache-2.0
//
// The name of a key in a token, and of the module that reaches it: a PKCS #11 URI (RFC 7512), read
// by p11-kit. docs/recipients.md, "Keys in a token".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct p11_kit_uri;

namespace ckptseal {

class TokenUri {
 public:
  static bool looks_like_one(std::string_view text) { return text.starts_with("pkcs11:"); }
  // Code::usage for what is none, names no module, has a PIN in it, or has something in it that is
  // not known and so could not be held against anything.
  static Result<TokenUri> parse(const std::string& text);

  // Without what stands behind the "?": who it is for, not how to get there.
  const std::string& name() const { return name_; }
  // A path, or the name of a file in the folder where p11-kit looks for modules.
  const std::string& module() const { return module_; }
  // Of pin-source: the path of a file, empty when there is none.
  const std::string& pin_file() const { return pin_file_; }

  // What p11-kit matches tokens and objects with; valid as long as this.
  p11_kit_uri* get() const { return uri_.get(); }

 private:
  struct Free {
    void operator()(p11_kit_uri* uri) const;
  };

  TokenUri() = default;
  Status read_query();

  std::shared_ptr<p11_kit_uri> uri_;  // not changed once it was read
  std::string name_;
  std::string module_;
  std::string pin_file_;
};

}  // namespace ckptseal
