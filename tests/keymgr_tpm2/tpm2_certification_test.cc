// SPDX-License-Identifier: Apache-2.0
//
// verify_certification() on what a real TPM certified, and on every way in which that can be wrong.
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <type_traits>

#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"
#include "policies/certification.h"

namespace ckptseal {
namespace {

class CertificationTest : public ::testing::Test {
 protected:
  CertificationTest() {
    TpmConnection connection = own_.connect();
    identity_ = provision_tpm(connection).value();
  }
  // The codes of all that is not a success; Code{} for a success.
  static Code verify(const TpmPublic& signer, const TpmPublic& certified,
                     const Certification& certification) {
    const Status status =
        verify_certification(signer, certified, certification.attest, certification.signature);
    return status.ok() ? Code{} : status.error().code;
  }
  testing::OwnTpm own_;
  TpmIdentity identity_;
};

TEST_F(CertificationTest, Good) {
  EXPECT_EQ(verify(identity_.attestation_key, identity_.storage_parent,
                   identity_.storage_parent_certification),
            Code{});
  EXPECT_EQ(
      verify(identity_.attestation_key, identity_.signing_key, identity_.signing_key_certification),
      Code{});
}

TEST_F(CertificationTest, EveryFlippedByteIsRefused) {
  const Certification& good = identity_.storage_parent_certification;
  for (std::size_t i = 0; i < good.attest.size(); ++i) {
    Certification bad = good;
    bad.attest[i] ^= 1;
    EXPECT_EQ(verify(identity_.attestation_key, identity_.storage_parent, bad), Code::untrusted);
  }
  for (std::size_t i = 0; i < good.signature.size(); ++i) {
    Certification bad = good;
    bad.signature[i] ^= 1;
    EXPECT_EQ(verify(identity_.attestation_key, identity_.storage_parent, bad), Code::untrusted);
  }
}

TEST_F(CertificationTest, AnotherKeyIsRefused) {
  EXPECT_EQ(verify(identity_.attestation_key, identity_.signing_key,
                   identity_.storage_parent_certification),
            Code::untrusted);
  EXPECT_EQ(verify(identity_.attestation_key, identity_.attestation_key,
                   identity_.storage_parent_certification),
            Code::untrusted);
  // Signed by a key that signs what it is given.
  EXPECT_EQ(verify(identity_.signing_key, identity_.storage_parent,
                   identity_.storage_parent_certification),
            Code::untrusted);
}

// Into 32 bytes. GnuTLS drops leading zeros, one key in 128 has such a coordinate, or adds one.
void put_number(const gnutls_datum_t& in, std::uint8_t* to) {
  const std::size_t size = std::min(in.size, 32U);
  std::fill_n(to, 32 - size, 0);
  std::copy_n(in.data + (in.size - size), size, to + (32 - size));
}

// A software attestation key, to sign what no TPM would.
class FakeAttestationKey {
 public:
  explicit FakeAttestationKey(const TpmPublic& like) {
    gnutls_privkey_t raw = nullptr;
    gnutls_privkey_init(&raw);
    key_.reset(raw);
    gnutls_privkey_generate(raw, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                            0);
    gnutls_datum_t x{};
    gnutls_datum_t y{};
    gnutls_privkey_export_ecc_raw2(raw, nullptr, &x, &y, nullptr, GNUTLS_EXPORT_FLAG_NO_LZ);
    Bytes area = like.marshalled();  // which ends with the two coordinates, each with its length
    put_number(x, area.data() + area.size() - 66);
    put_number(y, area.data() + area.size() - 32);
    gnutls_free(x.data);
    gnutls_free(y.data);
    public_ = TpmPublic::parse(area).value();
  }
  const TpmPublic& public_area() const { return public_; }
  EcdsaSignature sign(ByteView attest) const {
    const gnutls_datum_t data = {const_cast<unsigned char*>(attest.data()),
                                 static_cast<unsigned>(attest.size())};
    gnutls_datum_t der{};
    gnutls_privkey_sign_data2(key_.get(), GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &der);
    gnutls_datum_t r{};
    gnutls_datum_t s{};
    gnutls_decode_rs_value(&der, &r, &s);
    EcdsaSignature out{};
    put_number(r, out.data());
    put_number(s, out.data() + 32);
    for (const gnutls_datum_t& datum : {der, r, s}) gnutls_free(datum.data);
    return out;
  }

 private:
  struct Deinit {
    void operator()(gnutls_privkey_t key) const { gnutls_privkey_deinit(key); }
  };
  std::unique_ptr<std::remove_pointer_t<gnutls_privkey_t>, Deinit> key_;
  TpmPublic public_;
};

Bytes qualified(std::uint32_t hierarchy, const TpmName& name) {
  const Digest digest = Sha256::of(ByteWriter().u32(hierarchy).bytes(name).view());
  return ByteWriter().u16(0x000b).bytes(digest).take();
}

// TPMS_ATTEST of a TPM2_Certify, field by field.
struct Statement {
  std::uint32_t magic = 0xff544347;
  std::uint16_t type = 0x8017;
  Bytes signer;
  Bytes extra;
  Bytes name;
  Bytes qualified_name;
  Bytes behind;

  Bytes marshalled() const {
    ByteWriter out;
    const auto sized = [&](const Bytes& bytes) {
      out.u16(static_cast<std::uint16_t>(bytes.size())).bytes(bytes);
    };
    out.u32(magic).u16(type);
    sized(signer);
    sized(extra);
    out.zeros(8 + 4 + 4 + 1 + 8);  // clockInfo, firmwareVersion
    sized(name);
    sized(qualified_name);
    out.bytes(behind);
    return out.take();
  }
};

// Each field by itself, under a signature that is good.
TEST_F(CertificationTest, EveryFieldIsChecked) {
  const FakeAttestationKey key(identity_.attestation_key);
  const TpmName& parent = identity_.storage_parent.name();
  Statement good;
  good.signer = qualified(0x4000000b, key.public_area().name());
  good.name.assign(parent.begin(), parent.end());
  good.qualified_name = qualified(0x40000001, parent);
  const auto judged = [&](const Statement& statement) {
    const Bytes attest = statement.marshalled();
    return verify(key.public_area(), identity_.storage_parent, {attest, key.sign(attest)});
  };
  EXPECT_EQ(judged(good), Code{});

  const auto refused = [&](const char* field, auto change) {
    Statement bad = good;
    change(bad);
    EXPECT_EQ(judged(bad), Code::untrusted) << field;
  };
  refused("magic", [](Statement& s) { s.magic ^= 1; });
  refused("type", [](Statement& s) { s.type = 0x8018; });
  refused("signer of the owner hierarchy",
          [&](Statement& s) { s.signer = qualified(0x40000001, key.public_area().name()); });
  refused("signer", [](Statement& s) { s.signer.back() ^= 1; });
  refused("no signer", [](Statement& s) { s.signer.clear(); });
  refused("qualifyingData", [](Statement& s) { s.extra = {0}; });
  refused("name", [](Statement& s) { s.name.back() ^= 1; });
  refused("cut name", [](Statement& s) { s.name.pop_back(); });
  refused("qualified name", [](Statement& s) { s.qualified_name.back() ^= 1; });
  refused("a child or another hierarchy's key",
          [&](Statement& s) { s.qualified_name = qualified(0x4000000c, parent); });
  refused("bytes behind", [](Statement& s) { s.behind = {0}; });
}

TEST_F(CertificationTest, CutAndLongerAreRefused) {
  for (const int change : {-1, 1}) {
    Certification bad = identity_.storage_parent_certification;
    bad.attest.resize(bad.attest.size() + static_cast<std::size_t>(change));
    EXPECT_EQ(verify(identity_.attestation_key, identity_.storage_parent, bad), Code::untrusted);
  }
  Certification empty;
  EXPECT_EQ(verify(identity_.attestation_key, identity_.storage_parent, empty), Code::untrusted);
}

}  // namespace
}  // namespace ckptseal
