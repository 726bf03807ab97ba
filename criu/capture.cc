// SPDX-License-Identifier: Apache-2.0
//
// The loop over connection, pipes and the outside.
#include "criu/capture.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "base/step.h"
#include "criu/stream_connection.h"

namespace ckptseal {
namespace {

constexpr std::string_view inventory_name = "inventory.img";
constexpr std::uint32_t inventory_magic = 0x58313116;
constexpr std::size_t inventory_front = 8;  // magic, length of the one record

Error incomplete(std::string_view why) {
  return Error{Code::failed,
               fmt::format("The dump is not whole: {}; nothing was kept, see CRIU's log.", why), 0};
}

// docs/criu-stream.md, "The end": the end of a pipe alone does not say that this image is whole.
class InventoryCheck {
 public:
  void add(ByteView bytes) {
    const std::size_t wanted = std::min(bytes.size(), inventory_front - front_.size());
    front_.insert(front_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(wanted));
    size_ += bytes.size();
  }
  bool whole() const {
    return front_.size() == inventory_front && u32_at(0) == inventory_magic &&
           size_ == inventory_front + std::uint64_t{u32_at(4)};
  }

 private:
  std::uint32_t u32_at(std::size_t at) const {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i > 0; --i) value = value << 8 | front_[at + i - 1];
    return value;
  }

  Bytes front_;
  std::uint64_t size_ = 0;
};

struct OpenImage {
  std::string name;
  UniqueFd pipe;
  std::unique_ptr<ImageSink::Image> image;
};

class Capture {
 public:
  Capture(int connection, const StreamControl& control, ImageSink& sink)
      : connection_fd_(connection),
        connection_(StreamConnection::for_dump(connection)),
        control_(control),
        sink_(sink) {}

  Result<CaptureReport> run() {
    for (;;) {
      if (finishing_) {
        CKPTSEAL_TRY(take_all_requests());
        if (open_.empty()) break;
      }
      CKPTSEAL_TRY(wait_and_work());
    }
    if (last_request_ != inventory_name) {
      return incomplete(fmt::format("{} was not the last image", inventory_name));
    }
    if (!inventory_.whole()) return incomplete(fmt::format("its {} is cut short", inventory_name));
    return report_;
  }

 private:
  Status wait_and_work();
  Status ask_outside();
  Result<StreamArrival::Kind> take_request();
  Status take_all_requests();
  Status open_image(StreamArrival arrival);
  Result<bool> read_from(OpenImage& open);

  int connection_fd_;
  StreamConnection connection_;
  const StreamControl& control_;
  ImageSink& sink_;
  std::vector<OpenImage> open_;
  std::set<std::string> names_;
  std::string last_request_;
  InventoryCheck inventory_;
  CaptureReport report_;
  bool finishing_ = false;
};

Status Capture::wait_and_work() {
  std::vector<pollfd> watched = {{finishing_ ? -1 : control_.fd, POLLIN, 0},
                                 {connection_fd_, POLLIN, 0}};
  for (const OpenImage& open : open_) watched.push_back({open.pipe.get(), POLLIN, 0});
  if (poll(watched.data(), watched.size(), -1) < 0) {
    if (errno == EINTR) return {};
    return system_error("Cannot wait for CRIU", errno);
  }
  if (watched[0].revents != 0) CKPTSEAL_TRY(ask_outside());
  // The pipes first, for a request adds to them.
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (watched[i + 2].revents == 0) continue;
    CKPTSEAL_ASSIGN(const bool ended, read_from(open_[i]));
    if (ended) open_[i].pipe.reset();
  }
  std::erase_if(open_, [](const OpenImage& open) { return !open.pipe.valid(); });
  if (watched[1].revents != 0) CKPTSEAL_TRY(take_request());
  return {};
}

Status Capture::ask_outside() {
  CKPTSEAL_ASSIGN(finishing_, control_.finish_asked());
  return {};
}

Result<StreamArrival::Kind> Capture::take_request() {
  CKPTSEAL_ASSIGN(StreamArrival arrival, connection_.receive());
  const StreamArrival::Kind kind = arrival.kind;
  if (kind == StreamArrival::Kind::closed) {
    Error error = incomplete("CRIU closed its connection");
    error.cause = ECONNRESET;
    return error;
  }
  if (kind == StreamArrival::Kind::image) CKPTSEAL_TRY(open_image(std::move(arrival)));
  return kind;
}

// CRIU waits in post-dump: what it has asked for is in the socket, and nothing follows.
Status Capture::take_all_requests() {
  for (;;) {
    CKPTSEAL_ASSIGN(const StreamArrival::Kind kind, take_request());
    if (kind == StreamArrival::Kind::nothing) break;
  }
  if (connection_.amid_request()) return incomplete("a request was cut short");
  return {};
}

Status Capture::open_image(StreamArrival arrival) {
  last_request_ = arrival.name;
  if (!names_.insert(arrival.name).second) {
    return incomplete(fmt::format("the image {} came twice", arrival.name));
  }
  if (open_.size() == most_open_when_captured) {
    return incomplete(fmt::format("more than {} images came at once", most_open_when_captured));
  }
  CKPTSEAL_ASSIGN(auto image, sink_.open(arrival.name));
  open_.push_back({std::move(arrival.name), std::move(arrival.pipe), std::move(image)});
  ++report_.images;
  reached("dump: the first image is open");
  return {};
}

// True: the image has ended.
Result<bool> Capture::read_from(OpenImage& open) {
  const MutableByteView space = open.image->space();
  const ssize_t n = read(open.pipe.get(), space.data(), space.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  if (n < 0) return system_error(fmt::format("Cannot read the image {}", open.name), errno);
  if (n == 0) {
    CKPTSEAL_TRY(open.image->finish());
    return true;
  }
  const auto size = static_cast<std::size_t>(n);
  if (open.name == inventory_name) inventory_.add(space.first(size));
  CKPTSEAL_TRY(open.image->put(size));
  report_.bytes += size;
  if (open.name.starts_with("pages-")) reached("dump: pages flow");
  if (control_.progress) CKPTSEAL_TRY(control_.progress(report_.bytes));
  return false;
}

}  // namespace

Result<CaptureReport> capture(int connection, const StreamControl& control, ImageSink& sink) {
  return Capture(connection, control, sink).run();
}

}  // namespace ckptseal
