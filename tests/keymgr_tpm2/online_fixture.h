// SPDX-License-Identifier: Apache-2.0
//
// A software TPM, slots with online approvals for it, and an authority that answers.
#pragma once

#include <gtest/gtest.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "keymgr/tpm2/slot.h"
#include "keymgr/tpm2/tpm_identity.h"
#include "own_tpm.h"
#include "policies/policy_digest.h"
#include "software_host.h"

namespace ckptseal::test {

inline const Checkpoint some{{4, 2}, {3, 1'900'000'000}, false, {7}};

class OnlineTest : public ::testing::Test {
 protected:
  // What stands between request and answer; by default nothing.
  using Asked = std::function<Result<OnlineAnswer>(const OnlineRequest&)>;

  OnlineTest() {
    TpmConnection connection = own.connect();
    identity = provision_tpm(connection).value();
    tpm.emplace(own.connect(), identity.keys);
  }
  OnlineTerm online() const { return {authority.point()}; }
  PcrTerm pcrs_now(const char* selection) {
    return {tpm->read_pcrs(PcrSelection::parse(selection).value()).value()};
  }
  SlotBody seal(const Policy& policy, const Checkpoint& of = some, const char* pin = nullptr) {
    std::shared_ptr<const Secret> secret;
    if (pin != nullptr) {
      secret = std::make_shared<const Secret>(Secret::copy_of(as_bytes(pin)).value());
    }
    return Tpm2Recipient(identity.storage_parent, policy, Digest{1}, secret)
        .wrap(data_key, of)
        .value();
  }
  OnlineAnswer sign(const OnlineRequest& request, std::uint32_t expiration = 300) const {
    return sign_with(authority, request, expiration);
  }
  static OnlineAnswer sign_with(const test::SoftwareKey& key, const OnlineRequest& request,
                                std::uint32_t expiration = 300) {
    return {request.fingerprint(), expiration, key.sign(request.to_sign(expiration))};
  }

  // As ckpt-seal does it, with an approver that answers as `answer` says.
  Result<Secret> open(const SlotBody& slot, std::function<Result<Bytes>(ByteView)> answer,
                      const char* pin = nullptr) {
    ReleaseHelp help;
    help.who = "host-b";
    help.approver = std::move(answer);
    help.cap_pcr = cap;
    if (pin != nullptr) help.pin = [pin] { return Secret::copy_of(as_bytes(pin)); };
    Tpm2Identity us(*tpm, identity.storage_parent.name(), std::move(help));
    tpm->connection().forget_commands();
    Result<std::optional<Secret>> out = us.unwrap(slot, some);
    if (!out.ok()) return std::move(out).error();
    CKPTSEAL_TRY(us.before_use());
    return std::move(*std::move(out).value());
  }
  std::function<Result<Bytes>(ByteView)> authority_answers(std::uint32_t expiration = 300) {
    return [this, expiration](ByteView pem) -> Result<Bytes> {
      ++asked;
      const OnlineRequest request = OnlineRequest::parse(pem, "It").value();
      EXPECT_EQ(request.who, "host-b");
      EXPECT_EQ(request.checkpoint.id, some.id);
      EXPECT_EQ(request.checkpoint.limits, some.limits);
      const std::string answer = sign(request, expiration).pem().value();
      return Bytes(answer.begin(), answer.end());
    };
  }
  void expect_open(const Result<Secret>& out) {
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_TRUE(same_bytes(out.value().view(), data_key.view()));
  }
  static void expect_refused(const Result<Secret>& out, Code code, const char* why) {
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_NE(out.error().message.find(why), std::string::npos) << out.error().message;
  }

  // Without what the software checks: what the TPM says of any answer.
  Result<Secret> unseal(const SlotBody& slot, Asked ask, const Checkpoint& of = some) {
    const Tpm2Slot parsed = Tpm2Slot::parse(slot.bytes, of).value();
    PolicyRun run(policy_paths(parsed.policy, of).front());
    run.ask = std::move(ask);
    return tpm->unseal(parsed.object, run);
  }
  void expect_tpm_refuses(const SlotBody& slot, Asked ask, std::uint32_t cause, Code code) {
    const Result<Secret> out = unseal(slot, std::move(ask));
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().cause, cause) << std::hex << out.error().cause << out.error().message;
    EXPECT_EQ(out.error().code, code) << out.error().message;
    EXPECT_EQ(own.loaded(), 0U);
  }

  // TPM2_PolicySigned with this nonce in a new session: what tools that are not ours could send.
  TSS2_RC show_raw(const OnlineRequest& request, ByteView nonce, const OnlineAnswer& answer) {
    TpmConnection connection = own.connect();
    const EsysContext context = EsysContext::make(connection).value();
    TPMT_SYM_DEF none{};
    none.algorithm = TPM2_ALG_NULL;
    ESYS_TR raw = ESYS_TR_NONE;
    Esys_StartAuthSession(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                          ESYS_TR_NONE, nullptr, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, &raw);
    const EsysHandle session = EsysHandle::flushed(context, raw);
    const Bytes area = authority_public_area(request.key);
    TPM2B_PUBLIC key{};
    std::size_t used = 0;
    Tss2_MU_TPMT_PUBLIC_Unmarshal(area.data(), area.size(), &used, &key.publicArea);
    Esys_LoadExternal(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, &key,
                      ESYS_TR_RH_NULL, &raw);
    const EsysHandle loaded = EsysHandle::flushed(context, raw);
    const TPM2B_NONCE given = sized(nonce);
    const TPM2B_DIGEST command = sized(unseal_command(request.object));
    const TPM2B_NONCE reference = sized(online_reference(request.checkpoint));
    TPMT_SIGNATURE signature{};
    signature.sigAlg = TPM2_ALG_ECDSA;
    signature.signature.ecdsa.hash = TPM2_ALG_SHA256;
    signature.signature.ecdsa.signatureR.size = 32;
    signature.signature.ecdsa.signatureS.size = 32;
    std::copy_n(answer.signature.begin(), 32, signature.signature.ecdsa.signatureR.buffer);
    std::copy_n(answer.signature.begin() + 32, 32, signature.signature.ecdsa.signatureS.buffer);
    EsysPtr<TPM2B_TIMEOUT> timeout;
    EsysPtr<TPMT_TK_AUTH> ticket;
    return Esys_PolicySigned(context.get(), loaded.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                             ESYS_TR_NONE, &given, &command, &reference,
                             static_cast<INT32>(answer.expiration), &signature, into(timeout),
                             into(ticket));
  }
  static TPM2B_DIGEST sized(ByteView bytes) {
    TPM2B_DIGEST out{};
    out.size = static_cast<UINT16>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.buffer);
    return out;
  }

  ::ckptseal::testing::OwnTpm own;
  TpmIdentity identity;
  std::optional<EsysTpm> tpm;
  test::SoftwareKey authority;
  int asked = 0;
  std::optional<unsigned> cap;
  Secret data_key = random_secret(data_key_size).value();
};

}  // namespace ckptseal::test
