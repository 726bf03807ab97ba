// SPDX-License-Identifier: Apache-2.0
//
// Every return code that a user can meet becomes one sentence with a remedy and the right exit
// code.
#include <gtest/gtest.h>

#include <string>

#include "keymgr/tpm2/return_codes.h"

namespace ckptseal {
namespace {

using Op = TpmOperation;

struct Row {
  std::uint32_t code;
  Op operation;
  Code expected;
  const char* says;  // a part of the sentence
};

const Row table[] = {
    {0x99d, Op::unseal, Code::policy, "PCRs differ"},
    {0x9a4, Op::policy_pcr, Code::failed, "tpm2_rc_decode"},
    {0x1c4, Op::policy_authorize, Code::policy, "policy update"},
    {0x1c4, Op::policy_or, Code::policy, "policy update"},
    {0x4c4, Op::policy_authorize, Code::unavailable, "ticket"},
    {0x2db, Op::verify_ticket, Code::integrity, "tampered"},
    {0x128, Op::unseal, Code::unavailable, "kept changing"},
    {0x126, Op::policy_nv, Code::revoked, "epoch"},
    {0x12f, Op::unseal, Code::revoked, "restore limit"},
    {0x9a3, Op::unseal, Code::revoked, "expired"},
    {0x1cf, Op::unseal, Code::revoked, "another try"},
    {0x1df, Op::load, Code::integrity, "not sealed to this host"},
    {0x3df, Op::import, Code::integrity, "not sealed to this host"},
    {0x2c3, Op::import, Code::integrity, "not sealed to this host"},
    {0x2e1, Op::import, Code::integrity, "not sealed to this host"},
    {0x1df, Op::load_context, Code::unavailable, "TPM reset"},
    {0x4e7, Op::import, Code::integrity, "corrupt"},
    {0x98e, Op::unseal, Code::policy, "PIN is wrong"},
    {0x921, Op::unseal, Code::locked, "wait"},
    {0x9a2, Op::start_session, Code::integrity, "not the TPM that was provisioned"},
    {0x9a2, Op::create_key, Code::locked, "owned"},
    {0x98e, Op::make_persistent, Code::locked, "owned"},
    {0x185, Op::create_key, Code::locked, "switched off"},
    {0x101, Op::activate_credential, Code::untrusted, "another host"},
    {0x101, Op::unseal, Code::unavailable, "failure mode"},
    {0x18b, Op::load, Code::unavailable, "provision"},
    {0x14a, Op::epoch, Code::unavailable, "provision"},
    {0x14b, Op::make_persistent, Code::unavailable, "full"},
    {0x902, Op::load, Code::unavailable, "resource manager"},
    {0x903, Op::start_session, Code::unavailable, "resource manager"},
    {0x905, Op::start_session, Code::unavailable, "resource manager"},
    {0x910, Op::load, Code::unavailable, "flushed"},
    {0x919, Op::unseal, Code::unavailable, "flushed"},
    {0x100, Op::import, Code::unavailable, "TPM2_Startup"},
    {0x920, Op::epoch, Code::unavailable, "rate"},
    {0x922, Op::sign, Code::unavailable, "busy"},
    {0xa000a, Op::sign, Code::unavailable, "went away"},
    {0x70007, Op::sign, Code::unavailable, "went away"},
    {0x7001b, Op::unseal, Code::integrity, "altered"},
    {0x70010, Op::unseal, Code::unavailable, "cannot be understood"},
    {0x9000b, Op::unseal, Code::unavailable, "cannot be understood"},
};

TEST(ReturnCodes, Table) {
  for (const Row& row : table) {
    const Error error = tpm_error(row.code, row.operation);
    EXPECT_EQ(error.code, row.expected) << std::hex << row.code << ' ' << error.message;
    EXPECT_NE(error.message.find(row.says), std::string::npos)
        << std::hex << row.code << ' ' << error.message;
    EXPECT_EQ(error.cause, row.code);
  }
}

// What the parameter, handle or session is does not change what the code means.
TEST(ReturnCodes, NumbersAreFolded) {
  for (const std::uint32_t number : {0x100U, 0x200U, 0x700U, 0x800U, 0xf00U}) {
    EXPECT_EQ(tpm_error(0x9d | number, Op::unseal).code, Code::policy) << std::hex << number;
    EXPECT_EQ(tpm_error(0x40 | 0x9f | number, Op::import).code, Code::integrity)
        << std::hex << number;
  }
}

TEST(ReturnCodes, AnUnknownCodeNamesWhatItIsAbout) {
  EXPECT_NE(tpm_error(0x3c6, Op::sign).message.find("0x86, parameter 3"), std::string::npos);
  EXPECT_NE(tpm_error(0x286, Op::sign).message.find("0x86, handle 2"), std::string::npos);
  EXPECT_NE(tpm_error(0xa86, Op::sign).message.find("0x86, session 2"), std::string::npos);
  EXPECT_NE(tpm_error(0x1ff, Op::sign).message.find("0xbf"), std::string::npos);
}

// The resource managers of the kernel and of tpm2-abrmd answer in the TPM's place.
TEST(ReturnCodes, ResourceManagersSpeakForTheTpm) {
  EXPECT_EQ(tpm_error(0xb0000 | 0x921, Op::unseal).code, Code::locked);
  EXPECT_EQ(tpm_error(0xc0000 | 0x99d, Op::unseal).code, Code::policy);
  EXPECT_TRUE(is_nv_rate(0xb0920));
  EXPECT_TRUE(is_pcr_changed(0x128));
  EXPECT_FALSE(is_pcr_changed(0x70128));
  EXPECT_FALSE(is_nv_rate(0x921));
}

// Whatever comes back, it is one sentence that ends, and never success.
TEST(ReturnCodes, EveryCodeIsOneSentence) {
  for (std::uint32_t code = 1; code < 0x1000; ++code) {
    for (int op = 0; op <= static_cast<int>(Op::flush); ++op) {
      for (const std::uint32_t layer : {0U, 0x70000U, 0xa0000U, 0xb0000U}) {
        const Error error = tpm_error(layer | code, static_cast<Op>(op));
        ASSERT_GE(static_cast<int>(error.code), 1);
        ASSERT_EQ(error.message.back(), '.');
        ASSERT_EQ(error.message.find(". "), std::string::npos) << error.message;
        ASSERT_EQ(error.message.find('\n'), std::string::npos);
        ASSERT_EQ(error.cause, layer | code);
      }
    }
  }
}

}  // namespace
}  // namespace ckptseal
