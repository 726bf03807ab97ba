// SPDX-License-Identifier: Apache-2.0
//
// A CRIU that speaks the streaming protocol over a real socket and real pipes, one step at a time,
// so that a test can leave out, change or reorder any of them; and what stands on the other sides
// of a stream: the outside, a sink and a source in memory.
#pragma once

#include <future>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fd.h"
#include "criu/capture.h"
#include "criu/serve.h"

namespace ckptseal::test {

struct SocketPair {
  UniqueFd streamer;
  UniqueFd criu;
};
SocketPair socket_pair();
Pipe new_pipe();

Bytes frame(ByteView body);                  // behind its length
Bytes request_frame(std::string_view name);  // encoded by hand
Bytes inventory(std::size_t size = 40);      // as CRIU begins and ends it
std::size_t open_descriptors();

// All that fails throws: a test in which it must not stops there.
class FakeCriu {
 public:
  explicit FakeCriu(UniqueFd socket) : socket_(std::move(socket)) {}

  void send(ByteView bytes);
  void request(std::string_view name) { send(request_frame(name)); }
  // One byte with so many descriptors.
  void send_fds(const std::vector<int>& fds, std::uint8_t byte = 0);
  // Sends it with the first byte of what follows, where no descriptor belongs.
  void send_with_fd(ByteView bytes, int fd);
  Bytes receive(std::size_t size);  // shorter when the streamer is gone
  void hang_up() { socket_.reset(); }
  int fd() const { return socket_.get(); }

  // The steps of a good dump: request and pipe; the end that CRIU writes to.
  UniqueFd open_to_dump(std::string_view name);
  void dump(std::string_view name, ByteView content);
  // The steps of a good restore; not valid when it does not exist.
  UniqueFd open_to_restore(std::string_view name);
  Bytes restore(std::string_view name);  // to the end

 private:
  UniqueFd socket_;
};

Bytes read_to_end(int fd);
Bytes read_exactly(int fd, std::size_t size);
// What can be read without waiting; `ended` says whether the end was seen.
Bytes read_what_is_there(int fd, bool& ended);

// The hook of CRIU, and whoever passes its word on.
class Outside {
 public:
  Outside();
  StreamControl control();
  void finish();  // CRIU waits in its hook
  void vanish() { pipe_.write_end.reset(); }

 private:
  Pipe pipe_;
};

class MemorySink : public ImageSink {
 public:
  explicit MemorySink(std::size_t space = 4096) : space_(space) {}
  Result<std::unique_ptr<Image>> open(const std::string& name) override;

  std::map<std::string, Bytes> images;
  std::set<std::string> finished;
  std::string fail_open;          // of this image
  std::string fail_put;           // likewise
  std::string fail_finish;        // likewise
  std::shared_future<void> hold;  // put() waits for it

 private:
  class MemoryImage;
  std::size_t space_;
};

class MemorySource : public ImageSource {
 public:
  explicit MemorySource(std::map<std::string, Bytes> images, std::size_t chunk = 65536)
      : images_(std::move(images)), chunk_(chunk) {}
  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override { return images_.contains(name); }
  Result<std::unique_ptr<Image>> open(const std::string& name) override;

  std::string bad;            // the image with a chunk that does not verify
  std::size_t bad_chunk = 0;  // its index
  std::string fail_open;
  std::map<std::string, int> opened;
  std::map<std::string, int> read_through;
  std::size_t held = 0;  // bytes of chunks that it has lent
  std::size_t most_held = 0;
  int given_back = 0;
  int let_go = 0;  // chunks that were kept and were read

 private:
  class MemoryImage;
  std::map<std::string, Bytes> images_;
  std::size_t chunk_;
};

}  // namespace ckptseal::test
