// SPDX-License-Identifier: Apache-2.0
//
// What seal_to_parent makes, imported, loaded and unsealed by a TPM through tpm2-tools: none of
// this project's code stands on the other side.
#include <gtest/gtest.h>

#include "keymgr/tpm2/sealed_object.h"
#include "policies/pcr.h"
#include "swtpm_fixture.h"

namespace ckptseal {
namespace {

constexpr const char* parent_handle = "0x81000001";

Bytes with_size(ByteView part) {
  return ByteWriter().u16(static_cast<std::uint16_t>(part.size())).bytes(part).take();
}

class SealedObjectSwtpmTest : public test::SwtpmTest {
 protected:
  void SetUp() override {
    SwtpmTest::SetUp();
    if (HasFatalFailure()) return;
    run({"tpm2_pcrextend", "7:sha256=" + std::string(64, 'a')});
    create_parent();
    run({"tpm2_readpublic", "-c", tpm().path("parent"), "-f", "tss", "-o", tpm().path("public")});
    run({"tpm2_evictcontrol", "-C", "o", "-c", tpm().path("parent"), parent_handle});
    run({"tpm2_flushcontext", "-t"});
    parent = TpmPublic::parse(ByteView(read("public")).subspan(2)).value();  // in a TPM2B
    run({"tpm2_pcrread", "sha256:0,7", "-o", tpm().path("pcrs")});
    ByteReader pcrs(read_pcrs_file());
    PcrValues values{PcrSelection::parse("0,7").value(), {}};
    values.values = {pcrs.array<32>(), pcrs.array<32>()};
    policy = policy_pcr(values.selection, values.digest());
  }

  // docs/state.md, "Keys in the TPM".
  void create_parent() {
    run({"tpm2_createprimary", "-C", "o", "-G", "ecc256:aes128cfb", "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "-c",
         tpm().path("parent")});
  }

  const Bytes& read_pcrs_file() { return pcrs_file = read("pcrs"); }

  bool import(const SealedObject& object) {
    write("object.pub", with_size(object.public_area));
    write("object.dup", with_size(object.duplicate));
    write("object.seed", with_size(object.seed));
    return accepts({"tpm2_import", "-C", parent_handle, "-u", tpm().path("object.pub"), "-i",
                    tpm().path("object.dup"), "-s", tpm().path("object.seed"), "-r",
                    tpm().path("object.priv")});
  }

  // After import(); nullopt when the TPM does not release it.
  std::optional<Bytes> load_and_unseal(const std::string& auth = "pcr:sha256:0,7") {
    run({"tpm2_load", "-C", parent_handle, "-u", tpm().path("object.pub"), "-r",
         tpm().path("object.priv"), "-c", tpm().path("object")});
    run({"tpm2_flushcontext", "-t"});
    std::vector<std::string> unseal = {"tpm2_unseal", "-c", tpm().path("object"), "-o",
                                       tpm().path("secret")};
    if (!auth.empty()) unseal.insert(unseal.end(), {"-p", auth});
    const bool released = accepts(unseal);
    run({"tpm2_flushcontext", "-t"});
    if (!released) {
      run({"tpm2_flushcontext", "-l"});  // a failed policy leaves its session
      return std::nullopt;
    }
    return read("secret");
  }

  TpmPublic parent;
  Digest policy{};
  Bytes pcrs_file;
};

TEST_F(SealedObjectSwtpmTest, TheTpmUnsealsIt) {
  for (const std::size_t size : {1U, 32U, 128U}) {
    const Secret secret = random_secret(size).value();
    ASSERT_TRUE(import(seal_to_parent(parent, policy, secret).value())) << size;
    const std::optional<Bytes> released = load_and_unseal();
    ASSERT_TRUE(released) << size;
    EXPECT_EQ(to_hex(*released), to_hex(secret.view()));
  }
}

// Import proves the whole wrap: integrity, Name, decryption. Leading zeros of the shared point are
// among them by chance only (they are in ecdh_p256_test.cc), those of the ephemeral one by search.
TEST_F(SealedObjectSwtpmTest, TheTpmImportsRandomOnes) {
  const Secret secret = random_secret(32).value();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(import(seal_to_parent(parent, policy, secret).value())) << i;
  }
  for (const std::size_t coordinate : {2U, 36U}) {  // behind the sizes of x and of y
    SealedObject object;
    do {
      object = seal_to_parent(parent, policy, secret).value();
    } while (object.seed[coordinate] != 0);
    ASSERT_TRUE(import(object)) << coordinate;
    const std::optional<Bytes> released = load_and_unseal();
    ASSERT_TRUE(released) << coordinate;
    EXPECT_EQ(to_hex(*released), to_hex(secret.view()));
  }
}

TEST_F(SealedObjectSwtpmTest, TheTpmKeepsItInAnotherState) {
  const Secret secret = random_secret(32).value();
  ASSERT_TRUE(import(seal_to_parent(parent, policy, secret).value()));
  EXPECT_TRUE(load_and_unseal());
  // Without the policy: userWithAuth is clear, so that an empty password opens nothing.
  EXPECT_FALSE(load_and_unseal(""));
  EXPECT_FALSE(load_and_unseal("pcr:sha256:0"));
  run({"tpm2_pcrextend", "7:sha256=" + std::string(64, 'b')});
  EXPECT_FALSE(load_and_unseal());
}

TEST_F(SealedObjectSwtpmTest, TheTpmRefusesEachPartAltered) {
  const SealedObject object = seal_to_parent(parent, policy, random_secret(32).value()).value();
  ASSERT_TRUE(import(object));
  // One byte of each field: attributes, policy, unique; size and value of the integrity, encrypted
  // size, seedValue, secret; x and y.
  for (const std::size_t at : {5U, 10U, 41U, 46U, 77U}) {
    SealedObject altered = object;
    altered.public_area[at] ^= 0x10;
    EXPECT_FALSE(import(altered)) << "public area " << at;
  }
  for (const std::size_t at : {1U, 2U, 33U, 34U, 35U, 45U, 80U, 107U}) {
    SealedObject altered = object;
    altered.duplicate[at] ^= 0x10;
    EXPECT_FALSE(import(altered)) << "duplicate " << at;
  }
  for (const std::size_t at : {1U, 2U, 33U, 36U, 67U}) {
    SealedObject altered = object;
    altered.seed[at] ^= 0x10;
    EXPECT_FALSE(import(altered)) << "seed " << at;
  }
  EXPECT_TRUE(import(object));
}

TEST_F(SealedObjectSwtpmTest, AnotherTpmRefusesIt) {
  const SealedObject object = seal_to_parent(parent, policy, random_secret(32).value()).value();
  ASSERT_TRUE(import(object));
  // Its seed of the owner hierarchy changes, and with it its storage parent.
  run({"tpm2_clear"});
  create_parent();
  run({"tpm2_evictcontrol", "-C", "o", "-c", tpm().path("parent"), parent_handle});
  run({"tpm2_flushcontext", "-t"});
  EXPECT_FALSE(import(object));
}

}  // namespace
}  // namespace ckptseal
