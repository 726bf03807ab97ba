// SPDX-License-Identifier: Apache-2.0
//
// Words for codes, and the sentence that a failed system call becomes.
#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace ckptseal {
namespace {

std::string_view remedy(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space and try again";
    case EACCES:
    case EPERM:
      return "; run as a user who may, or change the permissions";
    case EROFS:
      return "; choose a place that can be written to";
    case EMFILE:
    case ENFILE:
      return "; raise the limit on open files";
    case ENOMEM:
      return "; free some memory or raise the limit on locked memory";
    default:
      return "";
  }
}

}  // namespace

std::string_view reason_word(Code code) {
  switch (code) {
    case Code::failed:
      return "failed";
    case Code::usage:
      return "usage";
    case Code::policy:
      return "policy";
    case Code::untrusted:
      return "untrusted";
    case Code::integrity:
      return "integrity";
    case Code::revoked:
      return "revoked";
    case Code::locked:
      return "locked";
    case Code::unavailable:
      return "unavailable";
    case Code::no_slot:
      return "no_slot";
  }
  return "failed";
}

Error system_error(std::string_view message, int errno_value, Code code) {
  std::string sentence(message);
  sentence += ": ";
  sentence += std::generic_category().message(errno_value);
  sentence += remedy(errno_value);
  sentence += '.';
  return Error{code, std::move(sentence), static_cast<std::uint32_t>(errno_value)};
}

}  // namespace ckptseal
