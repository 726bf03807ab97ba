// SPDX-License-Identifier: Apache-2.0
//
// GnuTLS reads PEM leniently; writing again what it read tells whether it was the one form.
#include "base/pem.h"

#include <fmt/format.h>
#include <gnutls/gnutls.h>

#include <limits>
#include <memory>

namespace ckptseal {
namespace {

gnutls_datum_t datum(ByteView bytes) {
  // GnuTLS does not write to its inputs; its type lacks the const.
  return {
      const_cast<unsigned char*>(bytes.data()),  // NOLINT(cppcoreguidelines-pro-type-const-cast)
      static_cast<unsigned>(bytes.size())};
}

// What a GnuTLS function allocates for its answer.
class Answer {
 public:
  gnutls_datum_t* out() { return &datum_; }
  ByteView view() const { return {datum_.data, datum_.size}; }
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { gnutls_free(datum_.data); }

 private:
  gnutls_datum_t datum_ = {nullptr, 0};
};

Error not_pem(const std::string& label, const std::string& what, int cause) {
  return {
      Code::integrity,
      fmt::format("{} is not one PEM block \"{}\" with nothing around it: it is cut, altered or "
                  "another kind of file, so copy it again from its source.",
                  what, label),
      static_cast<std::uint32_t>(cause)};
}

}  // namespace

Result<std::string> pem_encode(const std::string& label, ByteView content) {
  if (content.size() > std::numeric_limits<unsigned>::max() / 2) {
    return Error{Code::failed, fmt::format("What would become the {} is too long for PEM.", label),
                 0};
  }
  const gnutls_datum_t in = datum(content);
  Answer answer;
  if (const int code = gnutls_pem_base64_encode2(label.c_str(), &in, answer.out()); code < 0) {
    return Error{Code::failed,
                 fmt::format("Cannot write a {} as PEM: {}.", label, gnutls_strerror(code)),
                 static_cast<std::uint32_t>(code)};
  }
  return std::string(as_text(answer.view()));
}

Result<Bytes> pem_decode(const std::string& label, ByteView text, const std::string& what) {
  if (text.size() > std::numeric_limits<unsigned>::max()) return not_pem(label, what, 0);
  const gnutls_datum_t in = datum(text);
  Answer answer;
  if (const int code = gnutls_pem_base64_decode2(label.c_str(), &in, answer.out()); code < 0) {
    return not_pem(label, what, code);
  }
  const ByteView content = answer.view();
  CKPTSEAL_ASSIGN(const std::string again, pem_encode(label, content));
  if (!same_bytes(as_bytes(again), text)) return not_pem(label, what, 0);
  return Bytes(content.begin(), content.end());
}

}  // namespace ckptseal
