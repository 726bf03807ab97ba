// SPDX-License-Identifier: Apache-2.0
//
// Sends and receives by hand, without the code under test.
#include "fake_criu.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "base/page_buffer.h"
#include "sample.h"

namespace ckptseal::test {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

void put_u32(Bytes& out, std::size_t value) {
  for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void send_message(int socket, ByteView bytes, const std::vector<int>& fds) {
  Bytes copy(bytes.begin(), bytes.end());
  iovec data = {copy.data(), copy.size()};
  std::vector<unsigned char> control(CMSG_SPACE(sizeof(int) * fds.size()) + 16);
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL);
  require(n == static_cast<ssize_t>(copy.size()), "the streamer takes nothing");
}

}  // namespace

SocketPair socket_pair() {
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Pipe new_pipe() {
  Result<Pipe> pipe = make_pipe();
  require(pipe.ok(), "pipe");
  return std::move(pipe).value();
}

Bytes frame(ByteView body) {
  Bytes out;
  put_u32(out, body.size());
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Bytes request_frame(std::string_view name) {
  Bytes body = {0x0a};
  std::size_t length = name.size();
  for (; length >= 0x80; length >>= 7) body.push_back(static_cast<std::uint8_t>(length | 0x80));
  body.push_back(static_cast<std::uint8_t>(length));
  body.insert(body.end(), name.begin(), name.end());
  return frame(body);
}

Bytes inventory(std::size_t size) {
  Bytes out;
  put_u32(out, 0x58313116);
  put_u32(out, size);
  const Bytes record = pattern("inventory", size);
  out.insert(out.end(), record.begin(), record.end());
  return out;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void FakeCriu::send(ByteView bytes) { send_message(socket_.get(), bytes, {}); }

void FakeCriu::send_fds(const std::vector<int>& fds, std::uint8_t byte) {
  send_message(socket_.get(), ByteView(&byte, 1), fds);
}

void FakeCriu::send_with_fd(ByteView bytes, int fd) { send_message(socket_.get(), bytes, {fd}); }

Bytes FakeCriu::receive(std::size_t size) {
  Bytes out(size);
  const Result<std::size_t> done = read_full(socket_.get(), out);
  out.resize(done.ok() ? done.value() : 0);
  return out;
}

UniqueFd FakeCriu::open_to_dump(std::string_view name) {
  Pipe pipe = new_pipe();
  request(name);
  send_fds({pipe.read_end.get()});
  return std::move(pipe.write_end);
}

void FakeCriu::dump(std::string_view name, ByteView content) {
  const UniqueFd pipe = open_to_dump(name);
  require(write_full(pipe.get(), content).ok(), "the streamer does not read");
}

UniqueFd FakeCriu::open_to_restore(std::string_view name) {
  request(name);
  const Bytes reply = receive(6);
  if (reply == Bytes{2, 0, 0, 0, 8, 0}) return UniqueFd();
  require(reply == Bytes{2, 0, 0, 0, 8, 1}, "the reply is none");
  Pipe pipe = new_pipe();
  send_fds({pipe.write_end.get()});
  return std::move(pipe.read_end);
}

Bytes FakeCriu::restore(std::string_view name) {
  const UniqueFd pipe = open_to_restore(name);
  require(pipe.valid(), "it does not exist");
  return read_to_end(pipe.get());
}

Bytes read_to_end(int fd) {
  Bytes out;
  Bytes part(100000);
  for (;;) {
    const Result<std::size_t> done = read_full(fd, part);
    require(done.ok(), "read");
    out.insert(out.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(done.value()));
    if (done.value() < part.size()) return out;
  }
}

Bytes read_exactly(int fd, std::size_t size) {
  Bytes out(size);
  const Result<std::size_t> done = read_full(fd, out);
  require(done.ok() && done.value() == size, "there is less to read");
  return out;
}

Bytes read_what_is_there(int fd, bool& ended) {
  require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
  Bytes out;
  Bytes part(65536);
  for (;;) {
    const ssize_t n = read(fd, part.data(), part.size());
    ended = n == 0;
    if (n <= 0) return out;
    out.insert(out.end(), part.begin(), part.begin() + n);
  }
}

Outside::Outside() : pipe_(new_pipe()) {}

StreamControl Outside::control() {
  StreamControl control;
  control.fd = pipe_.read_end.get();
  control.finish_asked = [fd = control.fd]() -> Result<bool> {
    Bytes byte(1);
    CKPTSEAL_ASSIGN(const std::size_t size, read_full(fd, byte));
    if (size == 0) return Error{Code::failed, "The outside is gone.", 0};
    return true;
  };
  return control;
}

void Outside::finish() {
  require(write_full(pipe_.write_end.get(), as_bytes("f")).ok(), "the stream is gone");
}

class MemorySink::MemoryImage : public ImageSink::Image {
 public:
  MemoryImage(MemorySink& sink, std::string name, std::size_t space)
      : sink_(sink), name_(std::move(name)), buffer_(space) {}
  MutableByteView space() override { return buffer_; }
  Status put(std::size_t size) override {
    if (sink_.hold.valid()) sink_.hold.wait();
    if (name_ == sink_.fail_put) return Error{Code::failed, "The disk is full.", ENOSPC};
    Bytes& content = sink_.images[name_];
    content.insert(content.end(), buffer_.begin(),
                   buffer_.begin() + static_cast<std::ptrdiff_t>(size));
    return {};
  }
  Status finish() override {
    if (name_ == sink_.fail_finish) return Error{Code::failed, "The disk is full.", ENOSPC};
    sink_.finished.insert(name_);
    return {};
  }

 private:
  MemorySink& sink_;
  std::string name_;
  Bytes buffer_;
};

Result<std::unique_ptr<ImageSink::Image>> MemorySink::open(const std::string& name) {
  if (name == fail_open) return Error{Code::failed, "The disk is full.", ENOSPC};
  images[name] = {};
  return std::unique_ptr<Image>(std::make_unique<MemoryImage>(*this, name, space_));
}

class MemorySource::MemoryImage : public ImageSource::Image {
 public:
  MemoryImage(MemorySource& source, std::string name)
      : source_(source), name_(std::move(name)), rest_(source.images_.at(name_)) {}
  ~MemoryImage() override {
    count(-chunk_.view().size());
    for (const PageBuffer& kept : kept_) count(-kept.view().size());
  }
  Result<ByteView> next() override {
    if (name_ == source_.bad && index_ == source_.bad_chunk) {
      return Error{Code::integrity, "a chunk was altered", 0};
    }
    ++index_;
    const ByteView next = rest_.first(std::min(rest_.size(), source_.chunk_));
    rest_ = rest_.subspan(next.size());
    if (next.empty()) ++source_.read_through[name_];
    use_for_something_else(std::exchange(chunk_, PageBuffer(next.size())));
    std::copy(next.begin(), next.end(), chunk_.view().begin());
    count(next.size());
    return ByteView(chunk_.view());
  }
  void keep() override { kept_.push_back(std::move(chunk_)); }
  void let_go() override {
    use_for_something_else(std::move(kept_.front()));
    kept_.pop_front();
    ++source_.let_go;
  }
  void give_back() override {
    const std::size_t size = chunk_.view().size();
    rest_ = ByteView(rest_.data() - size, rest_.size() + size);
    --index_;
    count(-size);
    chunk_ = {};
    ++source_.given_back;
  }

 private:
  void count(std::size_t size) {
    source_.held += size;
    source_.most_held = std::max(source_.most_held, source_.held);
  }
  // As a next chunk would, so that whoever still refers to it is found out.
  void use_for_something_else(PageBuffer buffer) {
    std::fill(buffer.view().begin(), buffer.view().end(), std::uint8_t{0xee});
    count(-buffer.view().size());
  }

  MemorySource& source_;
  std::string name_;
  ByteView rest_;
  PageBuffer chunk_;
  std::deque<PageBuffer> kept_;
  std::size_t index_ = 0;
};

std::vector<std::string> MemorySource::names() const {
  std::vector<std::string> out;
  for (const auto& [name, content] : images_) out.push_back(name);
  return out;
}

Result<std::unique_ptr<ImageSource::Image>> MemorySource::open(const std::string& name) {
  if (name == fail_open) return Error{Code::integrity, "its pages are gone", 0};
  ++opened[name];
  return std::unique_ptr<Image>(std::make_unique<MemoryImage>(*this, name));
}

}  // namespace ckptseal::test
