// SPDX-License-Identifier: Apache-2.0
//
// docs/host-record.md rule by rule: one record that is right, and for every rule a twin that breaks
// it, signed by the host itself, so that only the rule can refuse it.
#include "hosts/host_record.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "proto/host_record.pb.h"
#include "software_host.h"

namespace ckptseal {
namespace {

using test::SoftwareHost;

constexpr Seconds now = 1500;

Result<SignedHostRecord> read(const std::string& file, Seconds time = now) {
  return read_host_record(as_bytes(file), time, "The host record test.record");
}

// Refused with this code and a sentence that has `words` in it.
void expect_refused(const Result<SignedHostRecord>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << "accepted, though: " << words;
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("test.record"), std::string::npos);
  EXPECT_TRUE(result.error().message.ends_with(".")) << result.error().message;
}

class HostRecordTest : public testing::Test {
 protected:
  // The right record as a message, to be made wrong.
  proto::HostRecord message() const {
    proto::HostRecord out;
    const Bytes body = test::body_of(host.record());
    EXPECT_TRUE(out.ParseFromArray(body.data(), static_cast<int>(body.size())));
    return out;
  }
  std::string signed_file(const proto::HostRecord& message) const {
    return host.file_of_body(as_bytes(message.SerializeAsString()));
  }
  std::string signed_file(const HostRecord& statement) const {
    const Result<SignedHostRecord> record = sign_host_record(statement, host.signer());
    EXPECT_TRUE(record.ok()) << record.error().message;
    return record.value().pem();
  }

  SoftwareHost host;
};

TEST_F(HostRecordTest, SaysWhatWasSigned) {
  const HostRecord in = host.statement();
  const std::string file = signed_file(in);
  const Result<SignedHostRecord> read_back = read(file);
  ASSERT_TRUE(read_back.ok()) << read_back.error().message;
  const HostRecord& out = read_back.value().record();
  EXPECT_EQ(out.name, "host-a");
  EXPECT_EQ(out.created, 1000U);
  EXPECT_EQ(out.expires, 2000U);
  EXPECT_EQ(out.ek_certificate, in.ek_certificate);
  EXPECT_EQ(out.ek_public, in.ek_public);
  EXPECT_EQ(out.attestation_key.name(), in.attestation_key.name());
  EXPECT_EQ(out.storage_parent.public_area.name(), in.storage_parent.public_area.name());
  EXPECT_EQ(out.storage_parent.attest, in.storage_parent.attest);
  ASSERT_EQ(out.signing_keys.size(), 1U);
  EXPECT_EQ(out.signing_keys[0].public_area.name(), in.signing_keys[0].public_area.name());
  EXPECT_EQ(out.epoch_index, in.epoch_index);
  EXPECT_EQ(out.epoch, 7U);
  EXPECT_EQ(out.labels, in.labels);
  EXPECT_EQ(out.policy_anchor.selection, in.policy_anchor.selection);
  EXPECT_EQ(out.policy_anchor.values, in.policy_anchor.values);
  EXPECT_TRUE(out.software);
  EXPECT_EQ(out.manufacturer, "IBM");
  EXPECT_EQ(read_back.value().pem(), file);
  EXPECT_EQ(read_back.value().fingerprint(), Sha256::of(test::body_of(read_back.value())));
}

TEST_F(HostRecordTest, TheLeastRecordIsARecord) {
  HostRecord statement = host.statement("a");
  statement.expires = 0;
  statement.ek_certificate.clear();
  statement.epoch = 0;
  statement.labels.clear();
  statement.software = false;
  statement.manufacturer.clear();
  statement.policy_anchor.selection = PcrSelection::of_mask(1).value();
  statement.policy_anchor.values = {Digest{}};
  EXPECT_TRUE(read(signed_file(statement)).ok());
}

TEST_F(HostRecordTest, EveryByteOfTheBodyCounts) {
  const SignedHostRecord record = host.record();
  const Bytes body = test::body_of(record);
  const EcdsaSignature signature = test::signature_of(record);
  ASSERT_TRUE(read(test::file_of(body, signature)).ok());
  for (std::size_t i = 0; i < body.size(); ++i) {
    for (std::uint8_t flipped : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
      Bytes altered = body;
      altered[i] ^= flipped;
      EXPECT_FALSE(read(test::file_of(altered, signature)).ok()) << "byte " << i;
    }
  }
}

TEST_F(HostRecordTest, EveryByteOfTheSignatureCounts) {
  const SignedHostRecord record = host.record();
  for (std::size_t i = 0; i < 64; ++i) {
    EcdsaSignature altered = test::signature_of(record);
    altered[i] ^= 1;
    expect_refused(read(test::file_of(test::body_of(record), altered)), Code::integrity,
                   "signature does not fit");
  }
}

TEST_F(HostRecordTest, EveryByteOfTheFileCounts) {
  const std::string file = host.record().pem();
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string altered = file;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_FALSE(read(altered).ok()) << "byte " << i;
  }
}

TEST_F(HostRecordTest, ACutFileIsRefused) {
  const std::string file = host.record().pem();
  for (std::size_t length = 0; length < file.size(); ++length) {
    const Result<SignedHostRecord> result = read(file.substr(0, length));
    ASSERT_FALSE(result.ok()) << "length " << length;
    EXPECT_EQ(result.error().code, Code::integrity);
  }
}

TEST_F(HostRecordTest, NothingStandsAroundTheOneBlock) {
  const std::string file = host.record().pem();
  std::string carriage_returns;
  for (char c : file) carriage_returns += c == '\n' ? std::string("\r\n") : std::string(1, c);
  for (const std::string& text :
       {file + file, "\n" + file, file + "\n", "A record:\n" + file, carriage_returns}) {
    expect_refused(read(text), Code::integrity, "one PEM block");
  }
}

TEST_F(HostRecordTest, AnotherKindOfPemIsRefused) {
  std::string file = host.record().pem();
  for (std::size_t at = 0; (at = file.find("HOST RECORD", at)) != std::string::npos;) {
    file.replace(at, 11, "CERTIFICATE");
  }
  expect_refused(read(file), Code::integrity, "CKPT-SEAL HOST RECORD");
}

TEST_F(HostRecordTest, AnAbsurdLengthIsRefusedUnread) {
  expect_refused(read(std::string(largest_record_file + 1, 'A')), Code::integrity, "longer than");
}

struct BrokenRule {
  const char* words;  // of the refusal
  void (*breaks)(proto::HostRecord&);
};

// Signed by the host itself, so no signature stands in for the rule.
TEST_F(HostRecordTest, EveryRuleOfTheBodyRefuses) {
  const BrokenRule rules[] = {
      {"version 0", [](proto::HostRecord& r) { r.set_version(0); }},
      {"version 4", [](proto::HostRecord& r) { r.set_version(4); }},
      {"its name", [](proto::HostRecord& r) { r.clear_name(); }},
      {"its name", [](proto::HostRecord& r) { r.set_name("self"); }},
      {"its name", [](proto::HostRecord& r) { r.set_name("../host"); }},
      {"its name", [](proto::HostRecord& r) { r.set_name(std::string("a\0b", 3)); }},
      {"when it was made", [](proto::HostRecord& r) { r.set_created(0); }},
      {"expires before", [](proto::HostRecord& r) { r.set_created(2000); }},
      {"longer than 8192",
       [](proto::HostRecord& r) { r.set_ek_certificate(std::string(8193, 'x')); }},
      {"endorsement key", [](proto::HostRecord& r) { r.clear_ek_public(); }},
      {"endorsement key", [](proto::HostRecord& r) { r.mutable_ek_public()->push_back(0); }},
      {"attestation key", [](proto::HostRecord& r) { r.clear_attestation_key(); }},
      {"attestation key",
       [](proto::HostRecord& r) { r.set_attestation_key(std::string(600, '\0')); }},
      {"storage parent", [](proto::HostRecord& r) { r.clear_storage_parent(); }},
      {"storage parent has a wrong length",
       [](proto::HostRecord& r) { r.mutable_storage_parent()->clear_attest(); }},
      {"storage parent has a wrong length",
       [](proto::HostRecord& r) {
         r.mutable_storage_parent()->set_attest(std::string(1025, 'x'));
       }},
      {"storage parent has a wrong length",
       [](proto::HostRecord& r) { r.mutable_storage_parent()->mutable_signature()->pop_back(); }},
      {"0 signing keys", [](proto::HostRecord& r) { r.clear_signing_keys(); }},
      {"9 signing keys",
       [](proto::HostRecord& r) {
         while (r.signing_keys_size() < 9) *r.add_signing_keys() = r.signing_keys(0);
       }},
      {"twice", [](proto::HostRecord& r) { *r.add_signing_keys() = r.signing_keys(0); }},
      {"epoch counter", [](proto::HostRecord& r) { r.set_epoch_index(0); }},
      {"epoch counter", [](proto::HostRecord& r) { r.set_epoch_index(0x81000001); }},
      {"not in order", [](proto::HostRecord& r) { r.mutable_labels()->SwapElements(0, 1); }},
      {"not in order", [](proto::HostRecord& r) { r.mutable_labels(1)->set_key("rack"); }},
      {"labels cannot be", [](proto::HostRecord& r) { r.mutable_labels(0)->set_key("Rack"); }},
      {"labels cannot be", [](proto::HostRecord& r) { r.mutable_labels(0)->set_value("\n"); }},
      {"labels cannot be",
       [](proto::HostRecord& r) { r.mutable_labels(0)->set_value(std::string(129, 'x')); }},
      {"more than 32 labels",
       [](proto::HostRecord& r) {
         while (r.labels_size() < 33) *r.add_labels() = r.labels(0);
       }},
      {"policy anchor", [](proto::HostRecord& r) { r.clear_policy_anchor(); }},
      {"selects PCRs",
       [](proto::HostRecord& r) { r.mutable_policy_anchor()->set_pcr_mask(1U << 10); }},
      {"selects PCRs",
       [](proto::HostRecord& r) { r.mutable_policy_anchor()->set_pcr_mask(1U << 24); }},
      {"one value for each",
       [](proto::HostRecord& r) { r.mutable_policy_anchor()->mutable_pcr_values()->RemoveLast(); }},
      {"one value for each",
       [](proto::HostRecord& r) { r.mutable_policy_anchor()->add_pcr_values(std::string(32, 0)); }},
      {"not 32 bytes",
       [](proto::HostRecord& r) { r.mutable_policy_anchor()->mutable_pcr_values(0)->pop_back(); }},
      {"manufacturer", [](proto::HostRecord& r) { r.set_manufacturer("IBM\n"); }},
      {"manufacturer", [](proto::HostRecord& r) { r.set_manufacturer(std::string(17, 'x')); }},
  };
  ASSERT_TRUE(read(signed_file(message())).ok());
  for (const BrokenRule& rule : rules) {
    SCOPED_TRACE(rule.words);
    proto::HostRecord altered = message();
    rule.breaks(altered);
    expect_refused(read(signed_file(altered)), Code::integrity, rule.words);
  }
}

// A host with a token: the same host's signing key, as if it were in one.
class TokenRecordTest : public HostRecordTest {
 protected:
  TokenRecordTest() {
    statement.name = "hsm-host";
    statement.created = 1000;
    statement.token = TokenKeys{host.storage.point(), {host.signing.point()}};
    statement.manufacturer = "SoftHSM project, as it says";
    record = test::body_of(sign_host_record(statement, host.signer()).value());
  }
  proto::HostRecord token_message() const {
    proto::HostRecord out;
    EXPECT_TRUE(out.ParseFromArray(record.data(), static_cast<int>(record.size())));
    return out;
  }

  HostRecord statement;
  Bytes record;
};

TEST_F(TokenRecordTest, SaysWhatWasSigned) {
  const Result<SignedHostRecord> out = read(signed_file(statement));
  ASSERT_TRUE(out.ok()) << out.error().message;
  ASSERT_TRUE(out.value().record().token.has_value());
  EXPECT_EQ(out.value().record().token->storage_key, host.storage.point());
  EXPECT_EQ(out.value().record().signing_points().value(),
            std::vector<EcPoint>{host.signing.point()});
  EXPECT_EQ(out.value().record().manufacturer, statement.manufacturer);
  EXPECT_EQ(token_message().version(), 2U);
}

TEST_F(TokenRecordTest, EveryByteOfTheBodyCounts) {
  for (std::size_t i = 0; i < record.size(); ++i) {
    Bytes altered = record;
    altered[i] ^= 1;
    EXPECT_FALSE(read(test::file_of(altered, host.signing.sign(Sha256::of(altered)))).ok()) << i;
    EXPECT_FALSE(
        read(test::file_of(altered, test::signature_of(read(host.file_of_body(record)).value())))
            .ok())
        << i;
  }
}

TEST_F(TokenRecordTest, EveryRuleRefuses) {
  const auto point = [](const EcPoint& p) {
    return std::string(as_text(ByteWriter().u8(4).bytes(p.x).bytes(p.y).view()));
  };
  const std::string foreign = point(host.attestation.point());
  const BrokenRule rules[] = {
      {"storage key", [](proto::HostRecord& r) { r.clear_token(); }},
      {"storage key", [](proto::HostRecord& r) { r.mutable_token()->clear_storage_key(); }},
      {"storage key",
       [](proto::HostRecord& r) { r.mutable_token()->mutable_storage_key()->push_back(0); }},
      {"storage key",
       [](proto::HostRecord& r) { (*r.mutable_token()->mutable_storage_key())[0] = 2; }},
      {"0 signing keys", [](proto::HostRecord& r) { r.mutable_token()->clear_signing_keys(); }},
      {"signing key is not",
       [](proto::HostRecord& r) { r.mutable_token()->add_signing_keys("x"); }},
      {"twice",
       [](proto::HostRecord& r) {
         r.mutable_token()->add_signing_keys(r.token().signing_keys(0));
       }},
      {"twice",
       [](proto::HostRecord& r) { r.mutable_token()->add_signing_keys(r.token().storage_key()); }},
      {"manufacturer", [](proto::HostRecord& r) { r.set_manufacturer(std::string(33, 'x')); }},
      {"epoch counter",
       [](proto::HostRecord& r) {
         r.set_version(1);
         r.set_manufacturer("x");
       }},
      // What belongs to a TPM.
      {"unknown fields", [](proto::HostRecord& r) { r.set_ek_public("x"); }},
      {"unknown fields", [](proto::HostRecord& r) { r.set_epoch_index(0x01800f00); }},
      {"unknown fields", [](proto::HostRecord& r) { r.set_epoch(1); }},
      {"unknown fields", [](proto::HostRecord& r) { r.mutable_policy_anchor()->set_pcr_mask(1); }},
      {"unknown fields", [](proto::HostRecord& r) { r.mutable_storage_parent(); }},
      {"unknown fields", [](proto::HostRecord& r) { r.add_signing_keys(); }},
  };
  ASSERT_TRUE(read(host.file_of_body(record)).ok());
  for (const BrokenRule& rule : rules) {
    SCOPED_TRACE(rule.words);
    proto::HostRecord altered = token_message();
    rule.breaks(altered);
    expect_refused(read(signed_file(altered)), Code::integrity, rule.words);
  }
  // The last one has signed, nobody else.
  proto::HostRecord altered = token_message();
  altered.mutable_token()->set_signing_keys(0, foreign);
  expect_refused(read(signed_file(altered)), Code::integrity, "signature");
  // A TPM's record has no token.
  proto::HostRecord both = message();
  *both.mutable_token() = token_message().token();
  expect_refused(read(signed_file(both)), Code::integrity, "unknown fields");
}

// All say the same as the right body, in other bytes.
TEST_F(HostRecordTest, OnlyOneEncodingIsAccepted) {
  const std::string body = message().SerializeAsString();
  ASSERT_TRUE(read(host.file_of_body(as_bytes(body))).ok());
  ASSERT_EQ(body.substr(0, 2), "\x08\x01");  // version
  proto::HostRecord nested = message();
  ASSERT_TRUE(nested.mutable_policy_anchor()->ParseFromString(
      nested.policy_anchor().SerializeAsString() + "\xf8\x01\x01"));
  const std::string twins[] = {
      body + "\xf8\x01\x01",                                            // an unknown field
      nested.SerializeAsString(),                                       // one in a field
      std::string("\x08\x81\x00", 3) + body.substr(2),                  // a long varint
      body.substr(2) + body.substr(0, 2),                               // another order
      body.substr(0, 2) + body,                                         // a field twice
      body + std::string("\x70\x01", 2),                                // likewise, at the end
      body.substr(0, 2) + std::string("\x58\x00", 2) + body.substr(2),  // a zero written out
  };
  for (const std::string& twin : twins) {
    proto::HostRecord lenient;
    ASSERT_TRUE(lenient.ParseFromString(twin));
    expect_refused(read(host.file_of_body(as_bytes(twin))), Code::integrity, "another encoding");
  }
}

TEST_F(HostRecordTest, AnExplicitZeroIsAnotherEncoding) {
  HostRecord statement = host.statement();
  statement.epoch = 0;
  const Result<SignedHostRecord> record = sign_host_record(statement, host.signer());
  ASSERT_TRUE(record.ok());
  Bytes body = test::body_of(record.value());
  // Field 11 (epoch) before field 12 (labels): 58 00 in front of the first 62.
  const ByteView label = as_bytes("\x62\x0a\x0a\x04rack");
  const auto at = std::search(body.begin(), body.end(), label.begin(), label.end());
  ASSERT_NE(at, body.end());
  body.insert(at, {0x58, 0x00});
  expect_refused(read(host.file_of_body(body)), Code::integrity, "another encoding");
}

TEST_F(HostRecordTest, TheEnvelopeHasOneEncodingToo) {
  const SignedHostRecord record = host.record();
  const Bytes body = test::body_of(record);
  EXPECT_FALSE(read(test::file_of({}, test::signature_of(record))).ok());
  const Bytes huge(65537, 0);
  expect_refused(read(host.file_of_body(huge)), Code::integrity, "65536 bytes");
}

TEST_F(HostRecordTest, ExpiresWhenItSays) {
  const std::string file = host.record().pem();  // expires at 2000
  EXPECT_TRUE(read(file, 1999).ok());
  expect_refused(read(file, 2000), Code::untrusted, "has expired");
  const Result<SignedHostRecord> listed =
      read_host_record_of_any_time(as_bytes(file), "The host record test.record");
  ASSERT_TRUE(listed.ok());
  EXPECT_TRUE(listed.value().expired(2000));
  EXPECT_FALSE(listed.value().expired(1999));
}

TEST_F(HostRecordTest, WithoutExpiryItNeverExpires) {
  HostRecord statement = host.statement();
  statement.expires = 0;
  EXPECT_TRUE(read(signed_file(statement), ~Seconds{0}).ok());
}

TEST_F(HostRecordTest, SigningRefusesWhatCannotBeSaid) {
  for (const HostRecord& statement : {host.statement("Host"), host.statement("")}) {
    const Result<SignedHostRecord> result = sign_host_record(statement, host.signer());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Code::usage);
  }
  HostRecord statement = host.statement();
  statement.labels = {{"-", "x"}};
  EXPECT_EQ(sign_host_record(statement, host.signer()).error().code, Code::usage);
}

TEST_F(HostRecordTest, ASignerThatFailsIsHeard) {
  const Result<SignedHostRecord> result =
      sign_host_record(host.statement(), [](const Digest&) -> Result<EcdsaSignature> {
        return Error{Code::unavailable, "The TPM is gone.", 0};
      });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::unavailable);
}

TEST(HostName, HasItsForm) {
  for (const char* name : {"a", "host-a", "a.b", "0", "a..b", "selfish", "record"}) {
    EXPECT_TRUE(check_host_name(name).ok()) << name;
  }
  EXPECT_TRUE(check_host_name(std::string(63, 'x')).ok());
  for (const char* name : {"", "self", "all", "passphrase", "label:x", "pkcs11:x", "-a", "a-", ".",
                           "..", "a/b", "A", "a b", "a_b", "b.record", "h\xc3\xb6st", "a\nb"}) {
    const Status status = check_host_name(name);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_EQ(status.error().code, Code::usage);
  }
  EXPECT_FALSE(check_host_name(std::string(64, 'x')).ok());
}

TEST(Fingerprint, IsSixtyFourDigits) {
  const std::string digits(64, 'a');
  EXPECT_EQ(to_hex(parse_fingerprint(digits).value()), digits);
  for (const std::string& text :
       {std::string(), std::string(62, 'a'), std::string(66, 'a'), std::string(64, 'g')}) {
    EXPECT_EQ(parse_fingerprint(text).error().code, Code::usage);
  }
}

}  // namespace
}  // namespace ckptseal
