// SPDX-License-Identifier: Apache-2.0
//
// The loop over connection, pipes and the outside; no pipe waits for another.
#include "criu/serve.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <set>

#include "base/step.h"
#include "criu/stream_connection.h"

namespace ckptseal {
namespace {

// A chunk that is in a pipe by reference, all of it.
struct Lent {
  std::size_t size = 0;
  std::uint64_t end = 0;  // in the image
};

struct Sending {
  std::string name;
  UniqueFd pipe;
  std::unique_ptr<ImageSource::Image> image;
  ByteView chunk;           // verified; empty: none is in memory
  std::size_t written = 0;  // of the chunk
  bool lending = false;     // the chunk goes into the pipe by reference
  std::deque<Lent> lent;
  std::uint64_t given = 0;  // of the image
  bool begun = false;
  std::uint64_t last_turn = 0;
};

// CRIU may leave many images half read, and each of them has a chunk. Beyond this, the chunk of
// whoever has not been written to for longest is given up, and read again for its next turn.
constexpr std::size_t most_bytes_held = std::size_t{16} << 20;
// What is in pipes by reference is not free for the next chunk. Beyond this, chunks are copied.
constexpr std::size_t most_bytes_lent = std::size_t{8} << 20;

class Server {
 public:
  Server(int connection, const StreamControl& control, ImageSource& source)
      : connection_fd_(connection),
        connection_(StreamConnection::for_restore(
            connection, [&source](const std::string& name) { return source.contains(name); })),
        control_(control),
        source_(source) {}

  ServeOutcome run() {
    ServeOutcome outcome;
    outcome.status = serve_until_finish();
    outcome.pipes = connection_.take_refused();
    for (Sending& sending : sending_) outcome.pipes.push_back(std::move(sending.pipe));
    outcome.bytes = given_;
    return outcome;
  }

 private:
  Status serve_until_finish();
  Status wait_and_work();
  void close(Sending& sending);
  Status take_request();
  Result<bool> next_chunk(Sending& sending);
  Status chunk_again(Sending& sending);
  void make_room_for(const Sending& sending);
  Status take_back(Sending& sending);
  Result<bool> send_some(Sending& sending);
  Status verify_rest();
  Status count_verified(std::size_t size);

  int connection_fd_;
  StreamConnection connection_;
  const StreamControl& control_;
  ImageSource& source_;
  std::vector<Sending> sending_;
  std::set<std::string> read_through_;
  std::size_t held_ = 0;  // bytes of chunks in memory
  std::size_t lent_ = 0;  // of those in pipes by reference
  std::uint64_t turn_ = 0;
  std::uint64_t given_ = 0;
  std::uint64_t verified_ = 0;
  bool finishing_ = false;
};

Status Server::serve_until_finish() {
  while (!finishing_) CKPTSEAL_TRY(wait_and_work());
  return verify_rest();
}

Status Server::wait_and_work() {
  std::vector<pollfd> watched = {{control_.fd, POLLIN, 0}, {connection_fd_, POLLIN, 0}};
  for (const Sending& sending : sending_) watched.push_back({sending.pipe.get(), POLLOUT, 0});
  if (poll(watched.data(), watched.size(), -1) < 0) {
    if (errno == EINTR) return {};
    return system_error("Cannot wait for CRIU", errno);
  }
  if (watched[0].revents != 0) {
    CKPTSEAL_ASSIGN(finishing_, control_.finish_asked());
    if (finishing_) return {};
  }
  for (std::size_t i = 0; i < sending_.size(); ++i) {
    if (watched[i + 2].revents == 0) continue;
    CKPTSEAL_ASSIGN(const bool done, send_some(sending_[i]));
    if (done) close(sending_[i]);
  }
  std::erase_if(sending_, [](const Sending& sending) { return !sending.pipe.valid(); });
  if (watched[1].revents != 0) CKPTSEAL_TRY(take_request());
  return {};
}

// What CRIU has not read yet stays in the pipe, for the pages are the image's own.
void Server::close(Sending& sending) {
  held_ -= sending.chunk.size();
  for (const Lent& lent : sending.lent) lent_ -= lent.size;
  sending.pipe.reset();
}

Status Server::take_request() {
  CKPTSEAL_ASSIGN(StreamArrival arrival, connection_.receive());
  if (arrival.kind == StreamArrival::Kind::closed) {
    return Error{Code::failed,
                 "CRIU closed its connection before the restore was complete; try again.",
                 ECONNRESET};
  }
  if (arrival.kind != StreamArrival::Kind::image) return {};
  // First of all the pipe is kept: whatever fails from here on, it must not close.
  Sending& sending = sending_.emplace_back();
  sending.name = std::move(arrival.name);
  sending.pipe = std::move(arrival.pipe);
  if (sending_.size() > most_open_when_served) {
    return Error{Code::failed,
                 fmt::format("CRIU asked for more than {} images at once; restore with a CRIU that "
                             "is supported.",
                             most_open_when_served),
                 0};
  }
  CKPTSEAL_ASSIGN(sending.image, source_.open(sending.name));
  reached("restore: the first image is asked for");
  return {};
}

// False at the end of the image.
Result<bool> Server::next_chunk(Sending& sending) {
  held_ -= sending.chunk.size();
  if (sending.lending) {
    sending.lent.push_back({sending.chunk.size(), sending.given});
    lent_ += sending.chunk.size();
    sending.image->keep();
  }
  CKPTSEAL_ASSIGN(sending.chunk, sending.image->next());
  sending.written = 0;
  sending.lending = lent_ + sending.chunk.size() <= most_bytes_lent;
  if (sending.chunk.empty()) {
    read_through_.insert(sending.name);
    return false;
  }
  make_room_for(sending);
  CKPTSEAL_TRY(count_verified(sending.chunk.size()));
  return true;
}

// The chunk that was given up.
Status Server::chunk_again(Sending& sending) {
  CKPTSEAL_ASSIGN(sending.chunk, sending.image->next());
  make_room_for(sending);
  return {};
}

void Server::make_room_for(const Sending& sending) {
  held_ += sending.chunk.size();
  while (held_ > most_bytes_held) {
    Sending* longest = nullptr;
    for (Sending& other : sending_) {
      if (&other == &sending || other.chunk.empty()) continue;
      if (longest == nullptr || other.last_turn < longest->last_turn) longest = &other;
    }
    if (longest == nullptr) return;
    held_ -= longest->chunk.size();
    longest->chunk = {};
    longest->image->give_back();
  }
}

// Chunks that CRIU has read from the pipe.
Status Server::take_back(Sending& sending) {
  if (sending.lent.empty()) return {};
  int unread = 0;
  if (ioctl(sending.pipe.get(), FIONREAD, &unread) != 0) {
    return system_error("Cannot look into a pipe of CRIU", errno);
  }
  while (!sending.lent.empty() &&
         sending.lent.front().end + static_cast<std::uint64_t>(unread) <= sending.given) {
    lent_ -= sending.lent.front().size;
    sending.lent.pop_front();
    sending.image->let_go();
  }
  return {};
}

// The bytes that went into the pipe, or errno is set. A page goes by reference, without a copy, and
// may then not change until CRIU has read it.
ssize_t put_into_pipe(const Sending& sending) {
  const ByteView pending = sending.chunk.subspan(sending.written);
  if (!sending.lending) return write(sending.pipe.get(), pending.data(), pending.size());
  const iovec pages = {const_cast<std::uint8_t*>(pending.data()), pending.size()};
  return vmsplice(sending.pipe.get(), &pages, 1, SPLICE_F_NONBLOCK);
}

// True: the image needs its pipe no more. At most one chunk, so that all get their turn; the one
// behind it is made ready at once, so that the end is seen with the last byte and not by CRIU's
// closing.
Result<bool> Server::send_some(Sending& sending) {
  sending.last_turn = ++turn_;
  if (!sending.begun) {
    sending.begun = true;
    CKPTSEAL_ASSIGN(const bool more, next_chunk(sending));
    if (!more) return true;
  }
  CKPTSEAL_TRY(take_back(sending));
  if (sending.chunk.empty()) CKPTSEAL_TRY(chunk_again(sending));
  const ssize_t n = put_into_pipe(sending);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  // CRIU has closed it early. What it did not read is verified at the end.
  if (n < 0 && errno == EPIPE) return true;
  if (n < 0) return system_error(fmt::format("Cannot write the image {}", sending.name), errno);
  sending.written += static_cast<std::size_t>(n);
  sending.given += static_cast<std::uint64_t>(n);
  given_ += static_cast<std::uint64_t>(n);
  if (sending.name.starts_with("pages-")) reached("restore: pages flow");
  if (sending.written < sending.chunk.size()) return false;
  CKPTSEAL_ASSIGN(const bool more, next_chunk(sending));
  return !more;
}

Status Server::count_verified(std::size_t size) {
  verified_ += size;
  return control_.progress ? control_.progress(verified_) : Status();
}

Status Server::verify_rest() {
  for (const std::string& name : source_.names()) {
    if (read_through_.contains(name)) continue;
    CKPTSEAL_ASSIGN(const auto image, source_.open(name));
    for (;;) {
      CKPTSEAL_ASSIGN(const ByteView chunk, image->next());
      if (chunk.empty()) break;
      CKPTSEAL_TRY(count_verified(chunk.size()));
    }
  }
  return {};
}

}  // namespace

ServeOutcome serve(int connection, const StreamControl& control, ImageSource& source) {
  return Server(connection, control, source).run();
}

}  // namespace ckptseal
