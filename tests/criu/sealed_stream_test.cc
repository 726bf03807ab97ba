// SPDX-License-Identifier: Apache-2.0
//
// A dump into a sealed checkpoint and a restore out of it, as they run: in the sandboxed helper,
// with CRIU in another process and its hooks at the parent.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/process.h"
#include "criu/sealed_images.h"
#include "criu/stream_connection.h"
#include "fake_criu.h"
#include "sample.h"
#include "sealing/helper.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

using test::FakeCriu;
using test::inventory;
using test::pattern;

constexpr std::size_t pages_size = (3 << 20) + 77;

// Each has a key of its own.
const test::DoubleOrigin& host_a() {
  static const test::DoubleOrigin origin;
  return origin;
}

// What the hook of CRIU and the parent say to each other: a byte each way.
struct Hook {
  test::SocketPair pair = test::socket_pair();
  int parent() const { return pair.streamer.get(); }
  // In CRIU: waits for the parent's word. False: the parent says no, or is gone.
  bool ask() {
    pair.streamer.reset();
    Bytes answer(1);
    if (!write_full(pair.criu.get(), as_bytes("?")).ok()) return false;
    const Result<std::size_t> size = read_full(pair.criu.get(), answer);
    return size.ok() && size.value() == 1 && answer[0] == 'y';
  }
  Result<bool> asked() const {
    Bytes byte(1);
    CKPTSEAL_ASSIGN(const std::size_t size, read_full(parent(), byte));
    if (size == 0) return Error{Code::failed, "CRIU ended.", 0};
    return true;
  }
};

// A child that is CRIU: 0 when all of it went well.
Child start_criu(const std::function<int(FakeCriu&, Hook&)>& body, test::SocketPair& ends,
                 Hook& hook) {
  Result<Child> child = Child::fork([&]() -> int {
    signal(SIGPIPE, SIG_IGN);
    ends.streamer.reset();
    FakeCriu criu(std::move(ends.criu));
    try {
      return body(criu, hook);
    } catch (const std::exception&) {
      return 98;
    }
  });
  if (!child.ok()) throw std::runtime_error(child.error().message);
  ends.criu.reset();
  hook.pair.criu.reset();
  return std::move(child).value();
}

int dump_all(FakeCriu& criu, Hook& hook) {
  UniqueFd pages = criu.open_to_dump("pages-1.img");
  criu.dump("fs-1.img", {});
  criu.dump("core-1.img", pattern("core", 3000));
  if (!write_full(pages.get(), pattern("pages", pages_size)).ok()) return 1;
  pages.reset();
  criu.dump("inventory.img", inventory());
  return hook.ask() ? 0 : 2;
}

StreamControl control_of(HelperChannel& channel) {
  StreamControl control;
  control.fd = channel.fd();
  control.finish_asked = [&channel] { return channel.finish_asked(); };
  return control;
}

struct Sealed {
  Result<HelperReport> report;
  ExitStatus criu;
  Bytes file;
};

// `dump` is what CRIU does; the parent answers its hook only after the report.
Sealed seal_dump(const std::function<int(FakeCriu&, Hook&)>& dump) {
  signal(SIGPIPE, SIG_IGN);
  test::SocketPair ends = test::socket_pair();
  Hook hook;
  Child criu = start_criu(dump, ends, hook);
  const UniqueFd output = test::memory_file();
  const UniqueFd spool = test::memory_file();
  const test::DoubleOrigin& origin = host_a();
  HelperEvents events;
  events.sign = [&](const Digest& digest) { return origin.sign(digest); };
  events.outside_fd = hook.parent();
  events.outside = [&] { return hook.asked(); };
  const std::vector<int> keep = {ends.streamer.get(), output.get(), spool.get()};
  Result<HelperReport> report = run_in_helper(
      keep,
      [&](HelperChannel& channel) -> Result<HelperReport> {
        SealOptions options;
        options.content = Content::criu;
        options.origin = origin.identity();
        const auto recipients = test::recipients_for({"alice"});
        CKPTSEAL_ASSIGN(FileWriter writer,
                        FileWriter::start(output.get(), spool.get(), options, recipients));
        CKPTSEAL_ASSIGN(const StreamPeer peer, check_stream_peer(ends.streamer.get()));
        if (peer.pid != getppid()) return Error{};  // who made the socket pair
        CKPTSEAL_TRY(enter_sandbox());
        FileWriterSink sink(writer);
        CKPTSEAL_ASSIGN(const CaptureReport captured,
                        capture(ends.streamer.get(), control_of(channel), sink));
        CKPTSEAL_TRY(writer.finish([&](const Digest& digest) { return channel.sign(digest); }));
        HelperReport out;
        out.set_content_bytes(captured.bytes);
        out.set_image_count(captured.images);
        return out;
      },
      events);
  (void)write_full(hook.parent(), as_bytes(report.ok() ? "y" : "n"));
  ends.streamer.reset();
  const Result<ExitStatus> status = criu.wait();
  return {std::move(report), status.ok() ? status.value() : ExitStatus{},
          test::content_of(output.get())};
}

struct Restored {
  Result<HelperReport> report;
  ExitStatus criu;
  int stopped = 0;  // how often the helper asked for CRIU's end
};

Restored restore_from(const Bytes& file, const std::function<int(FakeCriu&, Hook&)>& restore) {
  signal(SIGPIPE, SIG_IGN);
  test::SocketPair ends = test::socket_pair();
  Hook hook;
  Child criu = start_criu(restore, ends, hook);
  const UniqueFd input = test::memory_file(file);
  const test::DoubleOrigin& origin = host_a();
  const std::vector<TrustedOrigin> origins = {origin.trusted()};
  Restored out{HelperReport(), {}, 0};
  HelperEvents events;
  events.outside_fd = hook.parent();
  events.outside = [&] { return hook.asked(); };
  events.stop_reader = [&]() -> Status {
    ++out.stopped;
    criu.signal(SIGKILL);
    CKPTSEAL_ASSIGN(out.criu, criu.wait());
    return {};
  };
  const std::vector<int> keep = {ends.streamer.get(), input.get()};
  out.report = run_in_helper(
      keep,
      [&](HelperChannel& channel) -> Result<HelperReport> {
        CKPTSEAL_ASSIGN(SealedFile sealed, SealedFile::open(input.get()));
        const ReaderTrust trust{origins, false};
        CKPTSEAL_ASSIGN(const SignatureState state, sealed.verify_origin(trust));
        if (state != SignatureState::good) return Error{};
        const test::Identities alice = test::identities_for({"alice"});
        CKPTSEAL_ASSIGN(const UnlockedSlot slot,
                        find_slot(sealed, {alice, trust, std::nullopt, {}}));
        Workers workers(2);
        CKPTSEAL_TRY(enter_sandbox());
        CKPTSEAL_ASSIGN(const UnlockedFile unlocked, UnlockedFile::open(sealed, slot));
        UnlockedFileSource source(unlocked, workers);
        const ServeOutcome outcome = serve(ends.streamer.get(), control_of(channel), source);
        if (!outcome.status.ok()) {
          CKPTSEAL_TRY(channel.stop_reader());
          return outcome.status.error();
        }
        HelperReport report;
        report.set_content_bytes(outcome.bytes);
        return report;
      },
      events);
  (void)write_full(hook.parent(), as_bytes(out.report.ok() ? "y" : "n"));
  ends.streamer.reset();
  if (out.stopped == 0) {
    const Result<ExitStatus> status = criu.wait();
    if (status.ok()) out.criu = status.value();
  }
  return out;
}

int restore_all(FakeCriu& criu, Hook& hook) {
  if (criu.restore("inventory.img") != inventory()) return 1;
  if (criu.open_to_restore("files.img").valid()) return 2;
  const UniqueFd core = criu.open_to_restore("core-1.img");
  if (criu.restore("pages-1.img") != pattern("pages", pages_size)) return 3;
  if (test::read_to_end(core.get()) != pattern("core", 3000)) return 4;
  if (!criu.restore("fs-1.img").empty()) return 5;
  return hook.ask() ? 0 : 6;
}

// Asks for nothing but the inventory.
int restore_little(FakeCriu& criu, Hook& hook) {
  if (criu.restore("inventory.img") != inventory()) return 1;
  return hook.ask() ? 0 : 6;
}

std::uint64_t offset_of_chunks(const Bytes& file) {
  const UniqueFd fd = test::memory_file(file);
  const Result<SealedFile> sealed = SealedFile::open(fd.get());
  return sealed.value().immutable().data_start();
}

TEST(SealedStreamTest, ADumpIsRestored) {
  const Sealed sealed = seal_dump(dump_all);
  ASSERT_TRUE(sealed.report.ok()) << sealed.report.error().message;
  EXPECT_EQ(sealed.criu.code, 0);
  EXPECT_EQ(sealed.report.value().image_count(), 4U);
  const Restored restored = restore_from(sealed.file, restore_all);
  ASSERT_TRUE(restored.report.ok()) << restored.report.error().message;
  EXPECT_EQ(restored.criu.code, 0);
  EXPECT_EQ(restored.stopped, 0);
  EXPECT_EQ(restored.report.value().content_bytes(), pages_size + 3000 + inventory().size());
}

// docs/format.md, "Chunks": of chunks of zeros nothing is stored, and CRIU gets them all the same.
TEST(SealedStreamTest, PagesOfZerosAreRestored) {
  Bytes pages = pattern("pages", pages_size);
  std::fill_n(pages.begin() + (1 << 20), 1 << 20, std::uint8_t{0});
  const Sealed sealed = seal_dump([&](FakeCriu& criu, Hook& hook) {
    criu.dump("pages-1.img", pages);
    criu.dump("inventory.img", inventory());
    return hook.ask() ? 0 : 2;
  });
  ASSERT_TRUE(sealed.report.ok()) << sealed.report.error().message;
  EXPECT_LT(sealed.file.size(), pages_size - (1 << 20) + 65536);
  const Restored restored = restore_from(sealed.file, [&](FakeCriu& criu, Hook& hook) {
    if (criu.restore("inventory.img") != inventory()) return 1;
    if (criu.restore("pages-1.img") != pages) return 3;
    return hook.ask() ? 0 : 6;
  });
  ASSERT_TRUE(restored.report.ok()) << restored.report.error().message;
  EXPECT_EQ(restored.criu.code, 0);
  EXPECT_EQ(restored.report.value().content_bytes(), pages_size + inventory().size());
}

TEST(SealedStreamTest, ADumpThatIsAbortedIsNoFile) {
  const Sealed sealed = seal_dump([](FakeCriu& criu, Hook&) {
    criu.dump("inventory.img", inventory());
    return 7;
  });
  ASSERT_FALSE(sealed.report.ok());
  EXPECT_EQ(sealed.report.error().code, Code::failed);
  EXPECT_EQ(sealed.criu.code, 7);
  const UniqueFd fd = test::memory_file(sealed.file);
  EXPECT_FALSE(SealedFile::open(fd.get()).ok());
}

TEST(SealedStreamTest, PostDumpSaysNoToADumpThatIsNotWhole) {
  const Sealed sealed = seal_dump([](FakeCriu& criu, Hook& hook) {
    criu.dump("inventory.img", inventory());
    criu.dump("core-1.img", pattern("core", 3000));
    return hook.ask() ? 0 : 6;
  });
  ASSERT_FALSE(sealed.report.ok());
  EXPECT_EQ(sealed.criu.code, 6);
}

// A chunk in the middle of pages-1.img, which is read: CRIU is killed, not misled.
TEST(SealedStreamTest, AnAlteredChunkEndsCriu) {
  Sealed sealed = seal_dump(dump_all);
  ASSERT_TRUE(sealed.report.ok());
  sealed.file[offset_of_chunks(sealed.file) + (2 << 20)] ^= 1;
  const Restored restored = restore_from(sealed.file, restore_all);
  ASSERT_FALSE(restored.report.ok());
  EXPECT_EQ(restored.report.error().code, Code::integrity);
  EXPECT_EQ(restored.stopped, 1);
  EXPECT_EQ(restored.criu.signal, SIGKILL);
}

TEST(SealedStreamTest, AnAlteredChunkThatNobodyAskedForIsVetoed) {
  Sealed sealed = seal_dump(dump_all);
  ASSERT_TRUE(sealed.report.ok());
  const Restored good = restore_from(sealed.file, restore_little);
  EXPECT_TRUE(good.report.ok()) << "the twin";
  EXPECT_EQ(good.criu.code, 0);
  sealed.file[offset_of_chunks(sealed.file) + (2 << 20)] ^= 1;
  const Restored restored = restore_from(sealed.file, restore_little);
  ASSERT_FALSE(restored.report.ok());
  EXPECT_EQ(restored.report.error().code, Code::integrity);
  EXPECT_EQ(restored.criu.signal, SIGKILL);
}

TEST(SealedStreamTest, CriuThatEndsEarlyIsAFailure) {
  const Sealed sealed = seal_dump(dump_all);
  ASSERT_TRUE(sealed.report.ok());
  const Restored restored = restore_from(sealed.file, [](FakeCriu& criu, Hook&) {
    return criu.restore("inventory.img") == inventory() ? 7 : 1;
  });
  ASSERT_FALSE(restored.report.ok());
  EXPECT_EQ(restored.report.error().code, Code::failed);
}

}  // namespace
}  // namespace ckptseal
