// SPDX-License-Identifier: Apache-2.0
//
// Chains by X509_verify_cert, which knows the rules; here are its inputs and what its refusals
// mean.
#include "keymgr/public_key/certificate_chain.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <vector>

#include "keymgr/public_key/pem_blocks.h"
#include "keymgr/public_key/x509_internal.h"

namespace ckptseal {
namespace {

using OwnedStore = Owned<X509_STORE, X509_STORE_free>;
using OwnedStoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

// 112 bits: neither SHA-1 nor RSA below 2048 bits vouches for anything.
constexpr int security_level = 2;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
// Of certificates that others own.
using CertificateStack = std::unique_ptr<STACK_OF(X509), FreeStack>;

Result<std::vector<PemBlock>> blocks_of(ByteView pem, const std::string& label,
                                        const std::string& what) {
  CKPTSEAL_ASSIGN(std::vector<PemBlock> blocks, read_pem_blocks(pem, what));
  for (const PemBlock& block : blocks) {
    if (block.label == label) continue;
    return Error{
        Code::usage,
        fmt::format("{} have a PEM block \"{}\" among them: give a file with blocks \"{}\" "
                    "alone.",
                    what, block.label, label),
        0};
  }
  if (blocks.empty()) {
    return Error{Code::usage,
                 fmt::format("{} are no PEM: give a file with blocks \"{}\".", what, label), 0};
  }
  return blocks;
}

Error damaged(const std::string& what) {
  return {Code::integrity,
          fmt::format("{} are damaged: copy their file again from its source.", what), 0};
}

Result<std::vector<OwnedCertificate>> certificates_of(ByteView pem, const std::string& what) {
  CKPTSEAL_ASSIGN(const std::vector<PemBlock> blocks, blocks_of(pem, "CERTIFICATE", what));
  std::vector<OwnedCertificate> out;
  for (const PemBlock& block : blocks) {
    out.push_back(load_certificate(block.content));
    if (out.back() == nullptr) return damaged(what);
  }
  return out;
}

Status add_anchors(X509_STORE* store, ByteView pem) {
  if (pem.empty()) {
    return Error{Code::usage,
                 "A chain of certificates ends at an authority that is trusted: give the "
                 "certificate of one.",
                 0};
  }
  CKPTSEAL_ASSIGN(const std::vector<OwnedCertificate> anchors,
                  certificates_of(pem, "The trusted certificates"));
  for (const OwnedCertificate& anchor : anchors) {
    if (X509_STORE_add_cert(store, anchor.get()) != 1) {
      return openssl_error("Cannot hold a trusted certificate");
    }
  }
  return {};
}

Status add_crls(X509_STORE* store, ByteView pem) {
  const std::string what = "The revocation lists";
  CKPTSEAL_ASSIGN(const std::vector<PemBlock> blocks, blocks_of(pem, "X509 CRL", what));
  for (const PemBlock& block : blocks) {
    const OwnedCrl crl = load_crl(block.content);
    if (crl == nullptr) return damaged(what);
    if (X509_STORE_add_crl(store, crl.get()) != 1) {
      return openssl_error("Cannot hold a revocation list");
    }
  }
  return {};
}

void set_rules(X509_STORE_CTX* context, bool with_crls, std::uint64_t now) {
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_X509_STRICT);
  // Whom a revoked authority has vouched for, nobody vouches for.
  if (with_crls) {
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_ANY);
  X509_VERIFY_PARAM_set_auth_level(rules, security_level);
  X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(now));
}

Error untrusted(std::string message, int refusal) {
  return {Code::untrusted, std::move(message), static_cast<std::uint32_t>(refusal)};
}

// `depth` is 0 for the certificate itself, else an authority above it is meant.
Error refused(const std::string& what, int refusal, int depth) {
  switch (refusal) {
    case X509_V_ERR_CERT_REVOKED:
      return {Code::revoked,
              fmt::format("{} was revoked by its issuer: get a new one from its owner.",
                          depth == 0 ? what : fmt::format("{}: an authority above it", what)),
              static_cast<std::uint32_t>(refusal)};
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return untrusted(fmt::format("A revocation list for {} is too old or not valid yet: get the "
                                   "current one from its issuer.",
                                   what),
                       refusal);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return untrusted(
          fmt::format("None of the revocation lists is from {} of {}: give that one "
                      "as well.",
                      depth == 0 ? "the issuer" : "an authority above the issuer", what),
          refusal);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return untrusted(
          fmt::format("No authority that is trusted has issued {}: give the certificate "
                      "of its authority, and those between, or do not use it.",
                      what),
          refusal);
    default:
      return untrusted(fmt::format("The chain of {} does not hold ({}): get a new certificate from "
                                   "its owner.",
                                   what, X509_verify_cert_error_string(refusal)),
                       refusal);
  }
}

}  // namespace

OwnedCrl load_crl(ByteView der) {
  prepare_openssl();
  const unsigned char* at = der.data();
  OwnedCrl out(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (out == nullptr || at != der.data() + der.size()) return nullptr;
  return out;
}

Status check_chain(const Certificate& certificate, const ChainInputs& inputs, std::uint64_t now,
                   const std::string& what) {
  prepare_openssl();
  const OwnedStore store(X509_STORE_new());
  const OwnedStoreContext context(X509_STORE_CTX_new());
  const CertificateStack between(sk_X509_new_null());
  if (store == nullptr || context == nullptr || between == nullptr) {
    return openssl_error("Cannot prepare the check of a certificate");
  }
  CKPTSEAL_TRY(add_anchors(store.get(), inputs.anchors));
  if (inputs.crls) CKPTSEAL_TRY(add_crls(store.get(), *inputs.crls));
  std::vector<OwnedCertificate> intermediates;
  if (!inputs.intermediates.empty()) {
    CKPTSEAL_ASSIGN(intermediates,
                    certificates_of(inputs.intermediates, "The intermediate certificates"));
  }
  bool ready = true;
  for (const OwnedCertificate& one : intermediates) {
    ready = ready && sk_X509_push(between.get(), one.get()) > 0;
  }
  const OwnedCertificate leaf = load_certificate(certificate.der);
  if (!ready || leaf == nullptr ||
      X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), between.get()) != 1) {
    return openssl_error("Cannot prepare the check of a certificate");
  }
  set_rules(context.get(), inputs.crls.has_value(), now);
  const bool holds = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (holds) return {};
  return refused(what, X509_STORE_CTX_get_error(context.get()),
                 X509_STORE_CTX_get_error_depth(context.get()));
}

}  // namespace ckptseal
