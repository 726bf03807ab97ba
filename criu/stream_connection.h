// SPDX-License-Identifier: Apache-2.0
//
// One connection of CRIU to its image streamer: requests, replies, and the pipes that come with
// them. It never blocks, never reads ahead (that would lose a descriptor), and takes nothing that
// CRIU does not send. docs/criu-stream.md, "Connection" to "Pipes".
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace ckptseal {

inline constexpr std::string_view capture_socket_name = "streamer-capture.sock";
inline constexpr std::string_view serve_socket_name = "streamer-serve.sock";
inline constexpr std::uint32_t largest_stream_request = 4096;  // bytes, without the length
inline constexpr std::size_t longest_stream_name = 64;
inline constexpr int stream_pipe_size = 1 << 20;  // what is asked for

// docs/criu-stream.md, "Names".
Status check_stream_name(std::string_view name);

// The name in a request, of which `body` is what follows the length. Exactly one encoding is
// accepted.
Result<std::string> parse_stream_request(ByteView body);
Bytes build_stream_reply(bool exists);  // with its length

struct StreamPeer {
  pid_t pid = -1;
  uid_t uid = 0;
};
// Who connected: refused unless it is root or this process's own user, so call it before
// enter_sandbox().
Result<StreamPeer> check_stream_peer(int connection);

struct StreamArrival {
  enum class Kind : std::uint8_t {
    nothing,  // not yet, or not all of it: poll and call again
    absent,   // a request was answered with "does not exist"
    image,    // an image is to be read from `pipe` (dump) or written to it (restore)
    closed,   // the other end is closed, not amid a request
  };
  Kind kind = Kind::nothing;
  std::string name;
  UniqueFd pipe;  // does not block
};

class StreamConnection {
 public:
  using Exists = std::function<bool(const std::string& name)>;

  // `socket` is connected and stays the caller's.
  static StreamConnection for_dump(int socket) { return {socket, nullptr}; }
  // `exists` answers the requests of a restore.
  static StreamConnection for_restore(int socket, Exists exists) {
    return {socket, std::move(exists)};
  }

  // What has come, at most one request of it. After an error the connection is of no use.
  Result<StreamArrival> receive();
  // A request has begun and its pipe has not come.
  bool amid_request() const { return phase_ != Phase::length || have_ != 0; }
  // Descriptors that came and were refused. They close with the connection; a restore keeps them
  // open until CRIU is gone.
  std::vector<UniqueFd> take_refused() { return std::move(refused_); }

 private:
  enum class Phase : std::uint8_t { length, body, pipe };
  enum class Filled : std::uint8_t { yes, not_yet, closed };

  StreamConnection(int socket, Exists exists) : socket_(socket), exists_(std::move(exists)) {
    expect(Phase::length, 4);
  }
  void expect(Phase phase, std::size_t size);
  Result<Filled> fill();
  Status take_length();
  Status take_request(StreamArrival& arrival);
  Result<Filled> receive_pipe(StreamArrival& arrival);

  int socket_;
  Exists exists_;
  Phase phase_ = Phase::length;
  Bytes buffer_;
  std::size_t have_ = 0;
  std::string name_;
  std::vector<UniqueFd> refused_;
};

}  // namespace ckptseal
