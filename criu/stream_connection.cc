// SPDX-License-Identifier: Apache-2.0
//
// The state of a request that comes in pieces, and the checks of everything in it.
#include "criu/stream_connection.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proto/criu_stream.pb.h"

namespace ckptseal {
namespace {

Error refuse(std::string_view why) {
  return Error{
      Code::failed,
      fmt::format("CRIU's image stream is not as it has to be: {}; use a CRIU that is supported.",
                  why),
      0};
}

Error refuse_name(std::string_view why) { return refuse(fmt::format("an image's name {}", why)); }

// CRIU sends the end that is ours: the one to read from on a dump, to write to on a restore.
Status prepare_pipe(int fd, bool restore) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return system_error("Cannot look at a pipe of CRIU", errno);
  if (!S_ISFIFO(info.st_mode)) return refuse("what came for an image is no pipe");
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return system_error("Cannot look at a pipe of CRIU", errno);
  if ((flags & O_ACCMODE) != (restore ? O_WRONLY : O_RDONLY)) {
    return refuse("the pipe of an image came with its wrong end");
  }
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return system_error("Cannot set up a pipe of CRIU", errno);
  }
  // Only speed depends on it: a user's pipes together have a limit.
  (void)fcntl(fd, F_SETPIPE_SZ, stream_pipe_size);
  return {};
}

}  // namespace

Status check_stream_name(std::string_view name) {
  if (name.empty()) return refuse_name("is empty");
  if (name.size() > longest_stream_name) {
    return refuse_name(fmt::format("is longer than {} bytes", longest_stream_name));
  }
  if (name.find('/') != std::string_view::npos) return refuse_name("has a slash");
  if (name.front() == '.') return refuse_name("begins with a dot");
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
  if (!plain) return refuse_name("has a byte other than a to z, 0 to 9, dot and hyphen");
  return {};
}

Result<std::string> parse_stream_request(ByteView body) {
  if (body.size() > largest_stream_request) return refuse("a request is too long");
  proto::StreamRequest request;
  if (!request.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return refuse("a request cannot be read");
  }
  proto::StreamRequest again;
  again.set_filename(request.filename());
  if (!same_bytes(as_bytes(again.SerializeAsString()), body)) {
    return refuse("a request has more than a name");
  }
  CKPTSEAL_TRY(check_stream_name(request.filename()));
  return request.filename();
}

Bytes build_stream_reply(bool exists) {
  proto::StreamReply reply;
  reply.set_exists(exists);
  const std::string body = reply.SerializeAsString();
  Bytes out(4 + body.size());
  out[0] = static_cast<std::uint8_t>(body.size());
  std::copy(body.begin(), body.end(), out.begin() + 4);
  return out;
}

Result<StreamPeer> check_stream_peer(int connection) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return system_error("Cannot tell who connected as CRIU", errno);
  }
  if (peer.uid != 0 && peer.uid != geteuid()) {
    return Error{Code::failed,
                 fmt::format("A process of another user (pid {}, user {}) connected in CRIU's "
                             "place; nobody else may reach the folder of the socket.",
                             peer.pid, peer.uid),
                 0};
  }
  return StreamPeer{peer.pid, peer.uid};
}

void StreamConnection::expect(Phase phase, std::size_t size) {
  phase_ = phase;
  buffer_.assign(size, 0);
  have_ = 0;
}

Result<StreamArrival> StreamConnection::receive() {
  StreamArrival arrival;
  for (;;) {
    CKPTSEAL_ASSIGN(const Filled filled, phase_ == Phase::pipe ? receive_pipe(arrival) : fill());
    if (filled == Filled::not_yet) return arrival;
    if (filled == Filled::closed) {
      if (amid_request()) {
        return Error{Code::failed, "CRIU ended amid a request for an image; see its log.", 0};
      }
      arrival.kind = StreamArrival::Kind::closed;
      return arrival;
    }
    if (phase_ == Phase::length) {
      CKPTSEAL_TRY(take_length());
    } else if (phase_ == Phase::body) {
      CKPTSEAL_TRY(take_request(arrival));
    } else {
      arrival.name = std::move(name_);
      arrival.kind = StreamArrival::Kind::image;
      expect(Phase::length, 4);
    }
    if (arrival.kind != StreamArrival::Kind::nothing) return arrival;
  }
}

// Into buffer_, no byte more than it holds.
Result<StreamConnection::Filled> StreamConnection::fill() {
  while (have_ < buffer_.size()) {
    iovec space = {buffer_.data() + have_, buffer_.size() - have_};
    msghdr message = {};
    message.msg_iov = &space;
    message.msg_iovlen = 1;
    const ssize_t n = recvmsg(socket_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Filled::not_yet;
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return Filled::closed;
    if (n < 0) return system_error("Cannot receive a request of CRIU", errno);
    // The kernel has closed it already.
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      return refuse("a descriptor came where none belongs");
    }
    have_ += static_cast<std::size_t>(n);
  }
  return Filled::yes;
}

Status StreamConnection::take_length() {
  std::uint32_t length = 0;
  for (std::size_t i = 4; i > 0; --i) length = length << 8 | buffer_[i - 1];
  if (length == 0 || length > largest_stream_request) {
    return refuse(
        fmt::format("a request has {} bytes, not 1 to {}", length, largest_stream_request));
  }
  expect(Phase::body, length);
  return {};
}

Status StreamConnection::take_request(StreamArrival& arrival) {
  CKPTSEAL_ASSIGN(name_, parse_stream_request(buffer_));
  const bool exists = !exists_ || exists_(name_);
  if (exists_) {
    const Bytes reply = build_stream_reply(exists);
    const ssize_t n = send(socket_, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // CRIU waits for one reply at a time, so there is always room for it.
    if (n < 0) return system_error("Cannot answer CRIU", errno);
    if (static_cast<std::size_t>(n) != reply.size()) return refuse("it takes no reply");
  }
  if (exists) {
    expect(Phase::pipe, 1);
  } else {
    arrival.kind = StreamArrival::Kind::absent;
    arrival.name = std::move(name_);
    expect(Phase::length, 4);
  }
  return {};
}

Result<StreamConnection::Filled> StreamConnection::receive_pipe(StreamArrival& arrival) {
  iovec space = {buffer_.data(), 1};
  // Room for one more than there may be: what does not fit would be cut off without a count.
  alignas(cmsghdr) unsigned char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &space;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = recvmsg(socket_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Filled::not_yet;
  if (n == 0 || (n < 0 && errno == ECONNRESET)) return Filled::closed;
  if (n < 0) return system_error("Cannot receive a pipe of CRIU", errno);

  // Whatever came is owned before anything is judged.
  bool other = (message.msg_flags & MSG_CTRUNC) != 0 || buffer_[0] != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      other = true;
      continue;
    }
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      refused_.emplace_back(fd);
    }
  }
  if (refused_.empty() && (message.msg_flags & MSG_CTRUNC) != 0) {
    return system_error("Cannot take a pipe of CRIU", EMFILE);
  }
  if (refused_.empty()) return refuse("no pipe came with a request");
  if (refused_.size() > 1 || other) return refuse("more than one pipe came with a request");
  CKPTSEAL_TRY(prepare_pipe(refused_.front().get(), exists_ != nullptr));
  arrival.pipe = std::move(refused_.front());
  refused_.clear();
  return Filled::yes;
}

}  // namespace ckptseal
