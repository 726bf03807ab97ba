// SPDX-License-Identifier: Apache-2.0
//
// X.509 by OpenSSL: what of a certificate can be judged without its issuer.
#include "keymgr/public_key/certificate.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <time.h>

#include <optional>

#include "keymgr/public_key/pem_blocks.h"
#include "keymgr/public_key/x509_internal.h"

namespace ckptseal {
namespace {

Error unreadable(const std::string& what) {
  return {
      Code::integrity,
      fmt::format("{} is not one X.509 certificate in PEM or DER: it is damaged or another kind "
                  "of file, so get it again from its owner.",
                  what),
      take_openssl_code()};
}

Result<Bytes> only_certificate(ByteView file, const std::string& what) {
  if (!looks_like_pem(file)) return Bytes(file.begin(), file.end());
  CKPTSEAL_ASSIGN(std::vector<PemBlock> blocks, read_pem_blocks(file, what));
  if (blocks.empty() || blocks.front().label != "CERTIFICATE") return unreadable(what);
  if (blocks.size() > 1) {
    return Error{Code::usage,
                 fmt::format("{} has {} PEM blocks and must have one: put the recipient's own "
                             "certificate into a file alone.",
                             what, blocks.size()),
                 0};
  }
  return std::move(blocks.front().content);
}

std::optional<tm> time_of(const ASN1_TIME* time) {
  tm out{};
  if (ASN1_TIME_to_tm(time, &out) != 1) return std::nullopt;
  return out;
}

std::string text_of(const tm& time) {
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", time.tm_year + 1900,
                     time.tm_mon + 1, time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
}

Status check_time(const X509* certificate, std::uint64_t now, const std::string& what) {
  std::optional<tm> first = time_of(X509_get0_notBefore(certificate));
  std::optional<tm> last = time_of(X509_get0_notAfter(certificate));
  if (!first || !last) return unreadable(what);
  const auto at = static_cast<std::int64_t>(now);
  if (at < timegm(&*first)) {
    return Error{Code::untrusted,
                 fmt::format("{} is not valid before {}: check the clock, or wait until then.",
                             what, text_of(*first)),
                 0};
  }
  if (at > timegm(&*last)) {
    return Error{
        Code::untrusted,
        fmt::format("{} expired on {}: get the new one from its owner.", what, text_of(*last)), 0};
  }
  return {};
}

struct Usage {
  std::uint32_t bit;
  const char* name;  // RFC 5280, section 4.2.1.3
};

Usage usage_for(KeyAlgorithm algorithm) {
  if (algorithm == KeyAlgorithm::rsa_oaep) return {KU_KEY_ENCIPHERMENT, "keyEncipherment"};
  return {KU_KEY_AGREEMENT, "keyAgreement"};
}

Status check_usage(X509* certificate, KeyAlgorithm algorithm, const std::string& what) {
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  if ((flags & EXFLAG_INVALID) != 0) return unreadable(what);
  if ((flags & EXFLAG_CRITICAL) != 0) {
    return Error{Code::usage,
                 fmt::format("{} has a critical extension that ckpt-seal does not know: use a "
                             "certificate without it.",
                             what),
                 0};
  }
  const Usage wanted = usage_for(algorithm);
  if ((flags & EXFLAG_KUSAGE) != 0) {
    if ((X509_get_key_usage(certificate) & wanted.bit) != 0) return {};
    return Error{Code::usage,
                 fmt::format("{} is not for sealing: its keyUsage lacks {}, so use a certificate "
                             "that has it.",
                             what, wanted.name),
                 0};
  }
  if ((flags & EXFLAG_CA) == 0) return {};
  return Error{Code::usage,
               fmt::format("{} is that of a certificate authority and its keyUsage does not say "
                           "{}: use the recipient's own certificate.",
                           what, wanted.name),
               0};
}

std::string subject_of(const X509* certificate) {
  constexpr unsigned long flags =
      XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_ESC_CTRL);
  const OwnedBio out(BIO_new(BIO_s_mem()));
  if (out == nullptr) return {};
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, flags);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size <= 0 ? std::string() : label_of({text, static_cast<std::size_t>(size)});
}

Bytes spki_in(const X509* certificate) {
  X509_PUBKEY* key = X509_get_X509_PUBKEY(certificate);
  const int size = i2d_X509_PUBKEY(key, nullptr);
  Bytes out(size > 0 ? static_cast<std::size_t>(size) : 0);
  unsigned char* at = out.data();
  if (!out.empty()) i2d_X509_PUBKEY(key, &at);
  return out;
}

}  // namespace

OwnedCertificate load_certificate(ByteView der) {
  prepare_openssl();
  const unsigned char* at = der.data();
  OwnedCertificate out(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (out == nullptr || at != der.data() + der.size()) return nullptr;
  // OpenSSL reads BER; written again it is DER.
  Bytes again(der.size());
  unsigned char* end = again.data();
  const int size = i2d_X509(out.get(), nullptr);
  if (size < 0 || static_cast<std::size_t>(size) != der.size()) return nullptr;
  if (i2d_X509(out.get(), &end) != size || !same_bytes(again, der)) return nullptr;
  return out;
}

Result<Certificate> read_certificate(ByteView file, std::uint64_t now, const std::string& what) {
  CKPTSEAL_ASSIGN(Bytes der, only_certificate(file, what));
  const OwnedCertificate certificate = load_certificate(der);
  if (certificate == nullptr) return unreadable(what);
  CKPTSEAL_ASSIGN(PublicKey key, PublicKey::from_spki(spki_in(certificate.get()), what));
  CKPTSEAL_TRY(check_usage(certificate.get(), key.algorithm(), what));
  CKPTSEAL_TRY(check_time(certificate.get(), now, what));
  std::string subject = subject_of(certificate.get());
  return Certificate{std::move(der), std::move(key), std::move(subject)};
}

Result<PublicKey> key_of_certificate(ByteView der, const std::string& what) {
  const OwnedCertificate certificate = load_certificate(der);
  if (certificate == nullptr) return unreadable(what);
  return PublicKey::from_spki(spki_in(certificate.get()), what);
}

}  // namespace ckptseal
