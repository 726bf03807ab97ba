// SPDX-License-Identifier: Apache-2.0
//
// One exchange per connection, as the channel to a swtpm makes them.
#include "tpm_relay.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace ckptseal::testing {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), out.sun_path);
  return out;
}

UniqueFd make_socket(int flags = 0) {
  return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

UniqueFd send_command(const std::string& tpm_socket, ByteView command, int flags) {
  UniqueFd tpm = make_socket(flags);
  const sockaddr_un address = address_of(tpm_socket);
  if (connect(tpm.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      !write_full(tpm.get(), command).ok()) {
    return {};
  }
  return tpm;
}

// A whole frame, or what came before the end.
Bytes read_frame(int fd) {
  Bytes out(10);
  Result<std::size_t> got = read_full(fd, out);
  if (!got.ok() || got.value() < out.size()) return {};
  ByteReader reader(out);
  reader.u16();
  const std::size_t size = std::clamp<std::size_t>(reader.u32(), 10, 4096);
  out.resize(size);
  got = read_full(fd, MutableByteView(out).subspan(10));
  return got.ok() ? out : Bytes();
}

}  // namespace

TpmRelay::TpmRelay(std::string own_socket, std::string tpm_socket, Behavior behavior)
    : own_socket_(std::move(own_socket)),
      tpm_socket_(std::move(tpm_socket)),
      behavior_(std::move(behavior)),
      listener_(make_socket()) {
  const sockaddr_un address = address_of(own_socket_);
  Result<Pipe> stop = make_pipe();
  if (!stop.ok() ||
      bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), 8) != 0) {
    throw std::runtime_error("no relay");
  }
  stop_ = std::move(stop).value();
  thread_ = std::thread([this] { serve(); });
}

TpmRelay::~TpmRelay() {
  stop_.write_end.reset();
  thread_.join();
}

void TpmRelay::serve() {
  for (;;) {
    pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {stop_.read_end.get(), POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 || fds[1].revents != 0) return;
    const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) serve_one(client.get());
  }
}

void TpmRelay::serve_one(int client) {
  const Bytes command = read_frame(client);
  if (command.empty()) return;
  const Bytes answer = behavior_(number_++, command, [&] { return ask_tpm(command); });
  if (!answer.empty()) {
    (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    return;
  }
  pollfd fds[2] = {{client, POLLIN, 0}, {stop_.read_end.get(), POLLIN, 0}};
  poll(fds, 2, -1);
}

UniqueFd queue_command(const std::string& tpm_socket, ByteView command) {
  return send_command(tpm_socket, command, SOCK_NONBLOCK);
}

Bytes TpmRelay::ask_tpm(ByteView command) const {
  const UniqueFd tpm = send_command(tpm_socket_, command, 0);
  return tpm.valid() ? read_frame(tpm.get()) : Bytes();
}

}  // namespace ckptseal::testing
