// SPDX-License-Identifier: Apache-2.0
//
// The way to a swtpm: one connection per command on its data socket, as the TSS's own TCTI makes
// them. That one is not used because it cannot be bounded: in tpm2-tss 3.2.1 and 4.1 alike it
// offers no poll handles, ignores the timeout, and its initialization waits on the control socket
// for ever when swtpm is stopped. The protocol of the data socket is the bare commands and answers.
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "keymgr/tpm2/channel.h"

namespace ckptseal {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

class SwtpmChannel : public TpmChannel {
 public:
  SwtpmChannel(std::string name, Address address) : name_(std::move(name)), address_(address) {}

  Status send(ByteView command, Deadline deadline) override;
  Result<Bytes> receive(Deadline deadline) override;
  bool restartable() const override { return true; }

 private:
  Status connect_until(Deadline deadline);
  Status wait(short events, Deadline deadline) const;
  Status read_exactly(MutableByteView out, Deadline deadline) const;

  std::string name_;
  Address address_;
  UniqueFd socket_;
};

Status SwtpmChannel::wait(short events, Deadline deadline) const {
  for (;;) {
    pollfd poll_fd = {socket_.get(), events, 0};
    const int ready = poll(&poll_fd, 1, milliseconds_left(deadline));
    if (ready > 0) return {};
    if (ready == 0) return tpm_does_not_answer(name_);
    if (errno != EINTR) return tpm_went_away(name_, errno);
  }
}

Status SwtpmChannel::connect_until(Deadline deadline) {
  for (;;) {
    socket_.reset(
        socket(address_.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_.valid()) return system_error("Cannot make a socket to the TPM", errno);
    const auto* to = reinterpret_cast<const sockaddr*>(&address_.storage);
    if (connect(socket_.get(), to, address_.size) == 0) return {};
    if (errno == EINPROGRESS) {
      CKPTSEAL_TRY(wait(POLLOUT, deadline));
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) return {};
      return tpm_went_away(name_, error);
    }
    // The queue of a Unix socket is full: others wait for this TPM, and poll(2) does not tell when.
    if (errno != EAGAIN && errno != EINTR) return tpm_went_away(name_, errno);
    if (milliseconds_left(deadline) == 0) return tpm_does_not_answer(name_);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Status SwtpmChannel::send(ByteView command, Deadline deadline) {
  CKPTSEAL_TRY(connect_until(deadline));
  while (!command.empty()) {
    const ssize_t n = ::send(socket_.get(), command.data(), command.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      command = command.subspan(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      CKPTSEAL_TRY(wait(POLLOUT, deadline));
    } else if (errno != EINTR) {
      return tpm_went_away(name_, errno);
    }
  }
  return {};
}

Status SwtpmChannel::read_exactly(MutableByteView out, Deadline deadline) const {
  while (!out.empty()) {
    const ssize_t n = recv(socket_.get(), out.data(), out.size(), 0);
    if (n > 0) {
      out = out.subspan(static_cast<std::size_t>(n));
    } else if (n == 0) {
      return tpm_went_away(name_, ECONNRESET);
    } else if (errno == EAGAIN) {
      CKPTSEAL_TRY(wait(POLLIN, deadline));
    } else if (errno != EINTR) {
      return tpm_went_away(name_, errno);
    }
  }
  return {};
}

Result<Bytes> SwtpmChannel::receive(Deadline deadline) {
  Bytes answer(tpm_header_size);
  Status got = read_exactly(answer, deadline);
  if (got.ok()) {
    ByteReader header(answer);
    header.u16();
    const std::uint32_t size = header.u32();
    // A size that cannot be is left to the check of the frame, which every channel shares.
    if (size > tpm_header_size && size <= largest_tpm_frame) {
      answer.resize(size);
      got = read_exactly(MutableByteView(answer).subspan(tpm_header_size), deadline);
    }
  }
  socket_.reset();
  if (!got.ok()) return std::move(got).error();
  return answer;
}

Error bad_config(const std::string& name) {
  return {
      Code::usage,
      fmt::format("{} names no software TPM: say swtpm:path=SOCKET or swtpm:host=HOST,port=PORT.",
                  name),
      0};
}

Result<Address> unix_address(const std::string& path, const std::string& name) {
  Address out;
  auto* address = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (path.size() >= sizeof address->sun_path) {
    return Error{Code::usage,
                 fmt::format("{} has a socket path of {} bytes, and Linux takes {} at most: use a "
                             "shorter folder.",
                             name, path.size(), sizeof address->sun_path - 1),
                 0};
  }
  address->sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), address->sun_path);
  out.size = sizeof *address;
  return out;
}

Result<Address> tcp_address(const std::string& host, const std::string& port,
                            const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) {
    return Error{Code::unavailable,
                 fmt::format("The host of the TPM {} is not found: {}; check its name.", name,
                             gai_strerror(code)),
                 0};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Address out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.size = found->ai_addrlen;
  return out;
}

}  // namespace

Result<std::unique_ptr<TpmChannel>> open_swtpm_channel(const std::string& config,
                                                       const std::string& name) {
  std::string path;
  std::string host = "localhost";
  std::string port = "2321";
  for (std::size_t at = 0; at < config.size();) {
    const std::size_t end = std::min(config.find(',', at), config.size());
    const std::string item = config.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals + 1 == item.size()) return bad_config(name);
    const std::string key = item.substr(0, equals);
    std::string* target = key == "path"   ? &path
                          : key == "host" ? &host
                          : key == "port" ? &port
                                          : nullptr;
    if (target == nullptr) return bad_config(name);
    *target = item.substr(equals + 1);
  }
  std::uint16_t number = 0;
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || number == 0) {
    return bad_config(name);
  }
  Result<Address> address = path.empty() ? tcp_address(host, port, name) : unix_address(path, name);
  if (!address.ok()) return std::move(address).error();
  return std::unique_ptr<TpmChannel>(
      std::make_unique<SwtpmChannel>(name, std::move(address).value()));
}

}  // namespace ckptseal
