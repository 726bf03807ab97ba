// SPDX-License-Identifier: Apache-2.0
//
// criu/stream_connection.h: the bytes of a request in any pieces, and everything that is none.
#include "criu/stream_connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>

#include "base/process.h"
#include "fake_criu.h"

namespace ckptseal {
namespace {

using test::FakeCriu;
using Kind = StreamArrival::Kind;

struct Ends {
  Ends() : pair(test::socket_pair()), criu(std::move(pair.criu)) {}
  test::SocketPair pair;
  FakeCriu criu;
};

bool refused_with(const Result<StreamArrival>& arrival, const std::string& word) {
  if (arrival.ok()) return false;
  const std::string& message = arrival.error().message;
  EXPECT_NE(message.find(word), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return arrival.error().code == Code::failed && message.back() == '.';
}

TEST(StreamNameTest, ThoseOfCriuAreRight) {
  for (const char* name :
       {"inventory.img", "pages-1.img", "pagemap-shmem-1040.img", "tmpfs-dev-12.tar.gz",
        "ghost-file-1f.img", "ip6tables-3.img", "signal-s-1.img", "a"}) {
    EXPECT_TRUE(check_stream_name(name).ok()) << name;
  }
  EXPECT_TRUE(check_stream_name(std::string(64, 'a')).ok());
}

TEST(StreamNameTest, OthersAreNot) {
  const std::pair<std::string, std::string> wrong[] = {
      {"", "empty"},
      {std::string(65, 'a'), "longer than 64"},
      {"a/b", "slash"},
      {"/etc/passwd", "slash"},
      {"..", "dot"},
      {".", "dot"},
      {".hidden", "dot"},
      {"Files.img", "byte other than"},
      {"a_b", "byte other than"},
      {"a b", "byte other than"},
      {std::string("a\0b", 3), "byte other than"},
      {"a\n", "byte other than"},
      {"a\xc3\xa4", "byte other than"},
  };
  for (const auto& [name, word] : wrong) {
    const Status status = check_stream_name(name);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
    EXPECT_EQ(status.error().message.find(name.empty() ? "\n" : name + "\""), std::string::npos);
  }
}

TEST(StreamRequestTest, OneEncodingIsAccepted) {
  const Bytes good = {0x0a, 3, 'a', '-', '1'};
  EXPECT_EQ(parse_stream_request(good).value(), "a-1");
  const std::vector<Bytes> wrong = {
      {},                                      // no name
      {0x0a, 0},                               // an empty one
      {0x0a, 4, 'a', '-', '1'},                // cut
      {0x0a, 2, 'a', '-', '1'},                // something follows
      {0x0a, 0x83, 0x00, 'a', '-', '1'},       // a longer varint
      {0x0a, 3, 'a', '-', '1', 0x10, 1},       // an unknown field
      {0x0a, 1, 'b', 0x0a, 3, 'a', '-', '1'},  // two names
      {0x12, 3, 'a', '-', '1'},                // another field
      {0x08, 1},                               // not a string
  };
  for (const Bytes& body : wrong) {
    EXPECT_FALSE(parse_stream_request(body).ok()) << to_hex(body);
  }
}

TEST(StreamReplyTest, HasTheBytesThatCriuReads) {
  EXPECT_EQ(build_stream_reply(true), (Bytes{2, 0, 0, 0, 8, 1}));
  EXPECT_EQ(build_stream_reply(false), (Bytes{2, 0, 0, 0, 8, 0}));
}

TEST(StreamConnectionTest, ARequestMayComeByteByByte) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
  for (const std::uint8_t byte : test::request_frame("core-7.img")) {
    const Result<StreamArrival> early = connection.receive();
    ASSERT_TRUE(early.ok());
    EXPECT_EQ(early.value().kind, Kind::nothing);
    ends.criu.send(ByteView(&byte, 1));
  }
  EXPECT_EQ(connection.receive().value().kind, Kind::nothing);
  EXPECT_TRUE(connection.amid_request());
  Pipe pipe = test::new_pipe();
  ends.criu.send_fds({pipe.read_end.get()});
  const Result<StreamArrival> arrival = connection.receive();
  ASSERT_TRUE(arrival.ok()) << arrival.error().message;
  ASSERT_EQ(arrival.value().kind, Kind::image);
  EXPECT_EQ(arrival.value().name, "core-7.img");
  EXPECT_FALSE(connection.amid_request());
  ASSERT_TRUE(write_full(pipe.write_end.get(), as_bytes("x")).ok());
  EXPECT_EQ(test::read_exactly(arrival.value().pipe.get(), 1), Bytes{'x'});
}

TEST(StreamConnectionTest, ThePipeIsLargeClosesOnExecAndDoesNotBlock) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
  const UniqueFd write_end = ends.criu.open_to_dump("a.img");
  const Result<StreamArrival> arrival = connection.receive();
  ASSERT_TRUE(arrival.ok());
  const int fd = arrival.value().pipe.get();
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  // Other users have a limit.
  EXPECT_TRUE(geteuid() != 0 || fcntl(fd, F_GETPIPE_SZ) == stream_pipe_size);
}

// Reading ahead would lose the descriptor.
TEST(StreamConnectionTest, RequestsThatAreQueuedKeepTheirPipes) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
  for (const char* name : {"a", "b", "c"}) ends.criu.dump(name, as_bytes(name));
  for (const char* name : {"a", "b", "c"}) {
    const Result<StreamArrival> arrival = connection.receive();
    ASSERT_TRUE(arrival.ok());
    EXPECT_EQ(arrival.value().name, name);
    EXPECT_EQ(test::read_to_end(arrival.value().pipe.get()),
              Bytes{static_cast<unsigned char>(*name)});
  }
  ends.criu.hang_up();
  EXPECT_EQ(connection.receive().value().kind, Kind::closed);
}

TEST(StreamConnectionTest, ARestoreGetsAReplyAndSendsAPipeOnlyForWhatExists) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_restore(
      ends.pair.streamer.get(), [](const std::string& name) { return name == "there.img"; });
  ends.criu.request("gone.img");
  Result<StreamArrival> arrival = connection.receive();
  ASSERT_TRUE(arrival.ok());
  EXPECT_EQ(arrival.value().kind, Kind::absent);
  EXPECT_EQ(arrival.value().name, "gone.img");
  EXPECT_EQ(ends.criu.receive(6), (Bytes{2, 0, 0, 0, 8, 0}));
  ends.criu.request("there.img");
  EXPECT_EQ(connection.receive().value().kind, Kind::nothing);
  EXPECT_EQ(ends.criu.receive(6), (Bytes{2, 0, 0, 0, 8, 1}));
  const Pipe pipe = test::new_pipe();
  ends.criu.send_fds({pipe.write_end.get()});
  arrival = connection.receive();
  ASSERT_TRUE(arrival.ok());
  EXPECT_EQ(arrival.value().kind, Kind::image);
}

TEST(StreamConnectionTest, LengthsAreBounded) {
  for (const std::uint32_t length : {0U, 4097U, 0x10000U, 0x80000000U, 0xffffffffU}) {
    Ends ends;
    StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
    Bytes bytes;
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<std::uint8_t>(length >> (8 * i)));
    ends.criu.send(bytes);
    EXPECT_TRUE(refused_with(connection.receive(), std::to_string(length))) << length;
  }
  // The twin: the longest that may be is read, and its name is what is wrong.
  Ends ends;
  StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
  const Bytes longest = test::request_frame(std::string(4096 - 3, 'a'));
  ASSERT_EQ(longest.size(), 4100U);
  ends.criu.send(longest);
  EXPECT_TRUE(refused_with(connection.receive(), "longer than 64"));
}

struct Wrong {
  const char* name;
  const char* word;
  bool restore;
  std::function<void(FakeCriu&)> send;  // behind the request and its reply
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

std::vector<Wrong> wrong_pipes() {
  const auto ends = [](int reads, int writes, std::uint8_t byte = 0) {
    return [=](FakeCriu& criu) {
      const Pipe pipe = test::new_pipe();
      std::vector<int> fds(static_cast<std::size_t>(reads), pipe.read_end.get());
      fds.insert(fds.end(), static_cast<std::size_t>(writes), pipe.write_end.get());
      criu.send_fds(fds, byte);
    };
  };
  return {
      {"DumpNone", "no pipe", false, ends(0, 0)},
      {"DumpTwo", "more than one", false, ends(2, 0)},
      {"DumpBothEnds", "more than one", false, ends(1, 1)},
      {"DumpThree", "more than one", false, ends(3, 0)},
      {"DumpMany", "more than one", false, ends(200, 0)},
      {"DumpWriteEnd", "wrong end", false, ends(0, 1)},
      {"DumpOtherByte", "more than one", false, ends(1, 0, 'x')},
      {"RestoreNone", "no pipe", true, ends(0, 0)},
      {"RestoreTwo", "more than one", true, ends(0, 2)},
      {"RestoreReadEnd", "wrong end", true, ends(1, 0)},
      {"AFile", "is no pipe", false,
       [](FakeCriu& criu) {
         const UniqueFd file(memfd_create("x", MFD_CLOEXEC));
         criu.send_fds({file.get()});
       }},
      {"ASocket", "is no pipe", false,
       [](FakeCriu& criu) { criu.send_fds({test::socket_pair().criu.get()}); }},
  };
}

class WrongPipeTest : public testing::TestWithParam<Wrong> {};
INSTANTIATE_TEST_SUITE_P(All, WrongPipeTest, testing::ValuesIn(wrong_pipes()),
                         [](const auto& wrong) { return std::string(wrong.param.name); });

TEST_P(WrongPipeTest, IsRefusedAndNothingLeaks) {
  const std::size_t before = test::open_descriptors();
  {
    Ends ends;
    const int socket = ends.pair.streamer.get();
    StreamConnection connection =
        GetParam().restore
            ? StreamConnection::for_restore(socket, [](const std::string&) { return true; })
            : StreamConnection::for_dump(socket);
    ends.criu.request("a.img");
    ASSERT_EQ(connection.receive().value().kind, Kind::nothing);
    GetParam().send(ends.criu);
    EXPECT_TRUE(refused_with(connection.receive(), GetParam().word));
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

// A restore must not close what it refuses before CRIU is gone.
TEST(StreamConnectionTest, WhatIsRefusedCanBeKept) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_restore(
      ends.pair.streamer.get(), [](const std::string&) { return true; });
  ends.criu.request("a.img");
  ASSERT_EQ(connection.receive().value().kind, Kind::nothing);
  Pipe pipe = test::new_pipe();
  ends.criu.send_fds({pipe.write_end.get(), pipe.write_end.get()});
  pipe.write_end.reset();
  ASSERT_FALSE(connection.receive().ok());
  std::vector<UniqueFd> kept = connection.take_refused();
  EXPECT_EQ(kept.size(), 2U);
  bool ended = false;
  (void)test::read_what_is_there(pipe.read_end.get(), ended);
  EXPECT_FALSE(ended);
  kept.clear();
  (void)test::read_what_is_there(pipe.read_end.get(), ended);
  EXPECT_TRUE(ended) << "the twin: now it is closed";
}

TEST(StreamConnectionTest, ADescriptorWithARequestIsRefused) {
  const std::size_t before = test::open_descriptors();
  {
    Ends ends;
    StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
    const Pipe pipe = test::new_pipe();
    ends.criu.send_with_fd(test::request_frame("a.img"), pipe.read_end.get());
    EXPECT_TRUE(refused_with(connection.receive(), "none belongs"));
  }
  EXPECT_EQ(test::open_descriptors(), before);
}

TEST(StreamConnectionTest, AnEndAmidARequestIsAnError) {
  const Bytes request = test::request_frame("a.img");
  for (std::size_t size = 1; size <= request.size(); ++size) {
    Ends ends;
    StreamConnection connection = StreamConnection::for_dump(ends.pair.streamer.get());
    ends.criu.send(ByteView(request).first(size));
    ends.criu.hang_up();
    EXPECT_TRUE(refused_with(connection.receive(), "amid a request")) << size;
  }
}

TEST(StreamConnectionTest, ACriuThatIsGoneGetsNoReply) {
  Ends ends;
  StreamConnection connection = StreamConnection::for_restore(
      ends.pair.streamer.get(), [](const std::string&) { return true; });
  ends.criu.request("a.img");
  ends.criu.hang_up();
  EXPECT_FALSE(connection.receive().ok());
}

TEST(StreamPeerTest, OurselvesAndRootMayConnect) {
  const Ends ends;
  const Result<StreamPeer> peer = check_stream_peer(ends.pair.streamer.get());
  ASSERT_TRUE(peer.ok()) << peer.error().message;
  EXPECT_EQ(peer.value().pid, getpid());
  EXPECT_EQ(peer.value().uid, geteuid());
}

TEST(StreamPeerTest, AnotherUserMayNot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be two users";
  // A socket pair has the user who made it as its peer.
  Result<Child> child = Child::fork([] {
    if (setresuid(65533, 65533, 0) != 0) return 99;
    const test::SocketPair pair = test::socket_pair();
    if (!check_stream_peer(pair.streamer.get()).ok()) return 1;
    if (setresuid(0, 0, 0) != 0) return 99;
    return check_stream_peer(pair.streamer.get()).ok() ? 2 : 0;
  });
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child.value().wait().value().code, 0);
}

TEST(StreamPeerTest, WhatIsNoSocketHasNoPeer) {
  const Pipe pipe = test::new_pipe();
  EXPECT_FALSE(check_stream_peer(pipe.read_end.get()).ok());
}

}  // namespace
}  // namespace ckptseal
