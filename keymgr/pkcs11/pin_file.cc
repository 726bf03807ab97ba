// SPDX-License-Identifier: Apache-2.0
#include "keymgr/pkcs11/pin_file.h"

#include <fcntl.h>

#include <fmt/format.h>
#include <algorithm>

#include "base/fd.h"

namespace ckptseal {

Result<Secret> read_pin(int fd, const std::string& path) {
  constexpr std::size_t longest = 1024;
  CKPTSEAL_ASSIGN(Secret pin, Secret::make(longest));
  CKPTSEAL_ASSIGN(const std::size_t size, pread_full(fd, pin.mutable_view(), 0));
  const std::string_view text = as_text(pin.view()).substr(0, size);
  const std::size_t length = std::min(text.find_first_of("\r\n"), size);
  if (length == 0 || length == longest) {
    return Error{
        Code::integrity,
        fmt::format("The PIN file {} has no PIN in its first line; write one there.", path), 0};
  }
  pin.shrink(length);
  return pin;
}

AskPin pin_of(const TokenUri& uri) {
  return [path = uri.pin_file(), name = uri.name()](const std::string&) -> Result<Secret> {
    if (path.empty()) {
      return Error{Code::usage,
                   fmt::format("{}: this host signs and opens with nobody at hand, so add "
                               "&pin-source= and the absolute path of a file with the PIN.",
                               name),
                   0};
    }
    CKPTSEAL_ASSIGN(const UniqueFd fd,
                    open_file(path, O_RDONLY, fmt::format("the PIN file {}", path)));
    return read_pin(fd.get(), path);
  };
}

}  // namespace ckptseal
