// SPDX-License-Identifier: Apache-2.0
//
// Which options reach CRIU: docs/criu.md, "Options".
#include "criu/options.h"

#include <gtest/gtest.h>

namespace ckptseal {
namespace {

using Words = std::vector<std::string>;

void expect_refused(CriuVerb verb, const Words& words) {
  const Status status = check_criu_options(verb, words);
  ASSERT_FALSE(status.ok()) << words[0];
  EXPECT_EQ(status.error().code, Code::usage);
  EXPECT_TRUE(status.error().message.ends_with(".")) << status.error().message;
}

TEST(CriuOptions, WhatIsHarmlessIsPassedOn) {
  const std::vector<Words> good = {{},
                                   {"--shell-job"},
                                   {"-j"},
                                   {"-jl"},
                                   {"-v4"},
                                   {"-jv4"},
                                   {"--tcp-established", "-l"},
                                   {"--external", "mnt[]:x"},
                                   {"--external=mnt[]:x"},
                                   {"--external", "--page-server"},  // its value, to getopt as well
                                   {"--manage-cgroups"},
                                   {"--manage-cgroups=full"}};
  for (const Words& words : good) {
    for (const CriuVerb verb : {CriuVerb::dump, CriuVerb::restore}) {
      const Status status = check_criu_options(verb, words);
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
  }
}

TEST(CriuOptions, WhatGoesRoundTheSealingIsRefused) {
  for (const char* word :
       {"--page-server", "--address", "--port", "--ps-socket", "--tls", "--lazy-pages",
        "--prev-images-dir", "--track-mem", "--pre-dump-mode", "--auto-dedup", "--config",
        "--libdir", "-L", "--inherit-fd", "--status-fd"}) {
    expect_refused(CriuVerb::dump, {word, "x"});
    expect_refused(CriuVerb::restore, {word, "x"});
    expect_refused(CriuVerb::dump, {std::string(word) + "=x"});
  }
}

TEST(CriuOptions, WhatIsOursIsRefused) {
  for (const char* word : {"--images-dir",
                           "-D",
                           "--work-dir",
                           "-W",
                           "--log-file",
                           "-o",
                           "--stream",
                           "--action-script",
                           "--tree",
                           "-t",
                           "--leave-running",
                           "-R",
                           "--leave-stopped",
                           "-s",
                           "--pidfile",
                           "--restore-detached",
                           "-d",
                           "-S",
                           "--no-default-config",
                           "--exec-cmd",
                           "--display-stats",
                           "--log-pid"}) {
    expect_refused(CriuVerb::dump, {word, "x"});
    expect_refused(CriuVerb::restore, {word, "x"});
  }
}

TEST(CriuOptions, NoWayRound) {
  const std::vector<Words> bad = {{"--page-s"},  // a prefix, which getopt takes
                                  {"--no-stream"},
                                  {"--unheard-of"},
                                  {"-jD/tmp"},  // in a cluster
                                  {"-jlR"},
                                  {"-l", "-D", "/tmp"},
                                  {"--shell-job=1"},  // takes no value
                                  {"--external"},     // lacks one
                                  {"-r"},
                                  {"--external=a--config=/x"},
                                  {"--external", "a--config=/x"},
                                  {"word"},
                                  {"-j", "word"},
                                  {"--"},
                                  {"-"},
                                  {""},
                                  {"--"
                                   "=x"}};
  for (const Words& words : bad) {
    expect_refused(CriuVerb::dump, words);
    expect_refused(CriuVerb::restore, words);
  }
}

TEST(CriuOptions, EachVerbHasItsOwn) {
  EXPECT_TRUE(check_criu_options(CriuVerb::dump, {"--timeout", "5"}).ok());
  expect_refused(CriuVerb::restore, {"--timeout", "5"});
  EXPECT_TRUE(check_criu_options(CriuVerb::restore, {"-J", "net:/proc/1/ns/net"}).ok());
  expect_refused(CriuVerb::dump, {"-J", "net:/proc/1/ns/net"});
}

}  // namespace
}  // namespace ckptseal
