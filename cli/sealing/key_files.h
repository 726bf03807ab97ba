// SPDX-License-Identifier: Apache-2.0
//
// Files with a certificate or a public key, also a post-quantum one, that name a recipient, and who
// vouches for them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "keymgr/public_key/certificate_chain.h"
#include "keymgr/public_key/hybrid_key.h"

namespace ckptseal {

// Who has to vouch for the certificates among the recipients, by files in PEM; none: nobody.
struct IssuerOptions {
  std::vector<std::string> ca;   // authorities: those that are trusted, and those between
  std::vector<std::string> crl;  // revocation lists of all of them
};

// What each certificate is held against; nullopt when nobody has to vouch.
Result<std::optional<ChainInputs>> chain_of(const IssuerOptions& issuers);

// Whether it is what the trust store takes for the path of a record, or a usual name of keys.
bool names_file(const std::string& name);

struct NamedKey {
  std::variant<PublicKey, HybridPublicKey> key;
  RecipientName name;

  const KeyId& id() const;
  SlotKind kind() const;
  std::unique_ptr<Recipient> recipient() const;
};

// By what stands in it: PEM says what it is; other bytes are taken for a certificate in DER.
// nullopt for any other PEM, which may be a host record. Nobody has to vouch without `chain`.
Result<std::optional<NamedKey>> read_key_file(const std::string& path, const ChainInputs* chain);

// Of a key without a certificate, where --ca demands one.
Error nobody_vouches(const std::string& name);

}  // namespace ckptseal
