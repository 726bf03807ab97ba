// SPDX-License-Identifier: Apache-2.0
//
// A TPM that hangs, dies or answers rubbish: the wait is bounded, the error is Code::unavailable,
// the connection is dead from then on, and nothing stays loaded in a TPM that lives on.
#include <gtest/gtest.h>
#include <signal.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <random>

#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"
#include "tpm_relay.h"

namespace ckptseal {
namespace {

using testing::OwnTpm;
using testing::TpmRelay;

constexpr std::chrono::milliseconds short_wait{300};
// Import, Load, StartAuthSession, PolicyPCR, Unseal; the FlushContext after them cannot fail an
// unsealing that has the secret.
constexpr std::size_t commands_before_flush = 5;

class FailingTpmTest : public ::testing::Test {
 protected:
  FailingTpmTest() {
    TpmConnection connection = own_.connect();
    identity_ = provision_tpm(connection).value();
    EsysTpm tpm(own_.connect(), identity_.keys);
    const PcrValues values = tpm.read_pcrs(PcrSelection::standard()).value();
    object_ =
        seal_to_parent(identity_.storage_parent, policy_pcr(values.selection, values.digest()),
                       Secret::copy_of(Bytes(32, 1)).value())
            .value();
  }

  // Unseals through a relay that misbehaves from command `at` on.
  void fails_with(std::size_t at, const std::function<Bytes(const std::function<Bytes()>&)>& answer,
                  bool afterwards_well) {
    SCOPED_TRACE(at);
    const testing::ShortFolder folder;
    const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                         [&](std::size_t number, ByteView, const std::function<Bytes()>& ask) {
                           const bool bad = afterwards_well ? number == at : number >= at;
                           return bad ? answer(ask) : ask();
                         });
    EsysTpm tpm(TpmConnection::open(relay.tcti(), short_wait).value(), identity_.keys);
    const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Code::unavailable) << opened.error().message;
    EXPECT_TRUE(tpm.connection().dead());
    // At once and for the same reason.
    const std::size_t sent = tpm.connection().commands().size();
    const Result<EcdsaSignature> again = tpm.sign(Digest{});
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().message, opened.error().message);
    EXPECT_EQ(tpm.connection().commands().size(), sent);
  }

  OwnTpm own_;
  TpmIdentity identity_;
  SealedObject object_;
};

TEST_F(FailingTpmTest, Silence) {
  for (std::size_t at = 0; at < commands_before_flush; ++at) {
    fails_with(
        at, [](const auto&) { return Bytes(); }, true);
    EXPECT_EQ(own_.loaded(), 0U);
  }
}

TEST_F(FailingTpmTest, SilenceForEver) {
  fails_with(
      0, [](const auto&) { return Bytes(); }, false);
}

TEST_F(FailingTpmTest, Rubbish) {
  const std::vector<Bytes> answers = {
      Bytes(10, 0xff),                                      // absurd size
      Bytes(5, 0x80),                                       // half a header
      Bytes{0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0},            // no size
      Bytes{0x80, 0x01, 0, 0, 0, 9, 0, 0, 0, 0},            // shorter than a header
      Bytes{0x80, 0x01, 0, 0, 0x10, 0x01, 0, 0, 0, 0},      // one byte too long
      Bytes{0x00, 0xc4, 0, 0, 0, 10, 0, 0, 0, 0},           // a TPM 1.2
      Bytes{0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0, 1, 2, 3},  // cut
      Bytes{0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 1, 0, 0},     // a refusal with a body
      Bytes{'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', '4'},
  };
  for (const Bytes& answer : answers) {
    for (std::size_t at = 0; at < commands_before_flush; ++at) {
      fails_with(
          at, [&](const auto&) { return answer; }, true);
      ASSERT_EQ(own_.loaded(), 0U) << to_hex(answer);
    }
  }
}

// Well framed, but with a body of noise: whatever comes of it, it is an error and no crash.
TEST_F(FailingTpmTest, RandomBodies) {
  std::mt19937 random(20260101);  // NOLINT(cert-msc51-cpp,cert-msc32-c): the same each time
  for (int round = 0; round < 200; ++round) {
    const std::size_t at = random() % commands_before_flush;
    Bytes body(random() % 400);
    std::generate(body.begin(), body.end(), [&] { return static_cast<std::uint8_t>(random()); });
    ByteWriter answer;
    answer.u16(random() % 2 == 0 ? TPM2_ST_SESSIONS : TPM2_ST_NO_SESSIONS);
    answer.u32(static_cast<std::uint32_t>(10 + body.size())).u32(0).bytes(body);
    const testing::ShortFolder folder;
    const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                         [&](std::size_t number, ByteView, const std::function<Bytes()>& ask) {
                           return number == at ? Bytes(answer.view().begin(), answer.view().end())
                                               : ask();
                         });
    EsysTpm tpm(TpmConnection::open(relay.tcti(), short_wait).value(), identity_.keys);
    // Only what PolicyPCR answers may be noise without harm: nothing of it is used.
    EXPECT_TRUE(!tpm.unseal(object_, PcrSelection::standard()).ok() || at == 3) << round;
    ASSERT_EQ(own_.loaded(), 0U) << round << ' ' << at;
  }
}

TEST_F(FailingTpmTest, AFlippedBitInTheReleasedSecretIsFoundOut) {
  const testing::ShortFolder folder;
  const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                       [&](std::size_t number, ByteView, const std::function<Bytes()>& ask) {
                         Bytes answer = ask();
                         if (number == commands_before_flush - 1) answer.at(20) ^= 1;
                         return answer;
                       });
  EsysTpm tpm(TpmConnection::open(relay.tcti()).value(), identity_.keys);
  const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::integrity) << opened.error().message;
}

// What passes between program and TPM holds no secret.
TEST_F(FailingTpmTest, TheBusShowsNoSecret) {
  Bytes seen;
  {
    const testing::ShortFolder folder;
    const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                         [&](std::size_t, ByteView command, const std::function<Bytes()>& ask) {
                           Bytes answer = ask();
                           seen.insert(seen.end(), command.begin(), command.end());
                           seen.insert(seen.end(), answer.begin(), answer.end());
                           return answer;
                         });
    EsysTpm tpm(TpmConnection::open(relay.tcti()).value(), identity_.keys);
    ASSERT_TRUE(tpm.unseal(object_, PcrSelection::standard()).ok());
  }
  const Bytes secret(32, 1);
  EXPECT_GT(seen.size(), 1000U);
  EXPECT_EQ(std::search(seen.begin(), seen.end(), secret.begin(), secret.begin() + 16), seen.end());
}

TEST_F(FailingTpmTest, RetriesAFewTimesWhenPcrsChange) {
  for (const std::size_t changes : {2U, 100U}) {
    std::size_t left = changes;
    const testing::ShortFolder folder;
    const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                         [&](std::size_t, ByteView command, const std::function<Bytes()>& ask) {
                           const bool unseal = command[8] == 0x01 && command[9] == 0x5e;
                           if (!unseal || left == 0) return ask();
                           --left;
                           return Bytes{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x28};
                         });
    EsysTpm tpm(TpmConnection::open(relay.tcti()).value(), identity_.keys);
    const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
    EXPECT_EQ(opened.ok(), changes == 2);
    if (!opened.ok()) {
      EXPECT_EQ(opened.error().code, Code::unavailable);
      EXPECT_EQ(left, changes - 3);
    }
    EXPECT_EQ(own_.loaded(), 0U);
  }
}

TEST_F(FailingTpmTest, Stopped) {
  EsysTpm tpm(own_.connect(short_wait), identity_.keys);
  ASSERT_EQ(kill(own_.pid(), SIGSTOP), 0);
  const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
  ASSERT_EQ(kill(own_.pid(), SIGCONT), 0);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::unavailable);
  EXPECT_NE(opened.error().message.find("does not answer"), std::string::npos);
}

// Stopped while it unseals, with an object and a session loaded: what the program says on leaving
// is heard when the TPM goes on.
TEST_F(FailingTpmTest, StoppedInTheMiddle) {
  std::vector<UniqueFd> queued;  // commands that a stopped TPM has not looked at
  const testing::ShortFolder folder;
  Result<Secret> opened = Error{};
  {
    const TpmRelay relay(
        folder.path() + "/relay", own_.socket(),
        [&](std::size_t number, ByteView command, const std::function<Bytes()>& ask) {
          if (number + 1 < commands_before_flush) return ask();
          if (number + 1 == commands_before_flush) kill(own_.pid(), SIGSTOP);
          queued.push_back(testing::queue_command(own_.socket(), command));
          return Bytes();
        });
    EsysTpm tpm(TpmConnection::open(relay.tcti(), short_wait).value(), identity_.keys);
    opened = tpm.unseal(object_, PcrSelection::standard());
  }
  ASSERT_EQ(kill(own_.pid(), SIGCONT), 0);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::unavailable);
  EXPECT_GE(queued.size(), 2U);
  queued.clear();
  EXPECT_EQ(own_.loaded(), 0U);
}

TEST_F(FailingTpmTest, Killed) {
  EsysTpm tpm(own_.connect(short_wait), identity_.keys);
  ASSERT_TRUE(tpm.sign(Digest{}).ok());
  own_.kill();
  for (int i = 0; i < 2; ++i) {
    const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Code::unavailable);
  }
  EXPECT_TRUE(tpm.connection().dead());
}

TEST_F(FailingTpmTest, KilledInTheMiddle) {
  const testing::ShortFolder folder;
  const TpmRelay relay(folder.path() + "/relay", own_.socket(),
                       [&](std::size_t number, ByteView, const std::function<Bytes()>& ask) {
                         if (number == 3) own_.kill();
                         return number >= 3 ? Bytes(1) : ask();
                       });
  EsysTpm tpm(TpmConnection::open(relay.tcti(), short_wait).value(), identity_.keys);
  const Result<Secret> opened = tpm.unseal(object_, PcrSelection::standard());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::unavailable);
}

TEST_F(FailingTpmTest, ProvisioningAFailingTpm) {
  const testing::ShortFolder folder;
  for (const std::size_t at : {0U, 1U, 5U, 9U, 14U}) {
    const TpmRelay relay(folder.path() + "/relay" + std::to_string(at), own_.socket(),
                         [&](std::size_t number, ByteView, const std::function<Bytes()>& ask) {
                           return number == at ? Bytes(7, 0x33) : ask();
                         });
    TpmConnection connection = TpmConnection::open(relay.tcti(), short_wait).value();
    const Result<TpmIdentity> result = provision_tpm(connection);
    ASSERT_FALSE(result.ok()) << at;
    EXPECT_EQ(result.error().code, Code::unavailable);
    EXPECT_EQ(own_.loaded(), 0U) << at;
  }
}

TEST(Connection, NamesThatAreNone) {
  for (const char* name : {"swtpm:path", "swtpm:path=", "swtpm:socket=x", "swtpm:port=0",
                           "swtpm:port=99999", "swtpm:port=x", "nothing", "cmd:sh", ":"}) {
    const Result<TpmConnection> connection = TpmConnection::open(name);
    ASSERT_FALSE(connection.ok()) << name;
    EXPECT_EQ(connection.error().code, Code::usage) << name;
  }
  const Result<TpmConnection> deep =
      TpmConnection::open("swtpm:path=/tmp/" + std::string(200, 'x'));
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().code, Code::usage);
  const Result<TpmConnection> absent = TpmConnection::open("device:/dev/there-is-none");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, Code::unavailable);
}

TEST(Connection, NobodyThere) {
  const testing::ShortFolder folder;
  TpmConnection connection =
      TpmConnection::open("swtpm:path=" + folder.path() + "/none", short_wait).value();
  const Result<PcrValues> values = read_pcrs(connection, PcrSelection::standard());
  ASSERT_FALSE(values.ok());
  EXPECT_EQ(values.error().code, Code::unavailable);
  EXPECT_TRUE(connection.dead());
}

}  // namespace
}  // namespace ckptseal
