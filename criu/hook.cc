// SPDX-License-Identifier: Apache-2.0
//
// Our end of the action script's question.
#include "criu/hook.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "criu/hook_protocol.h"
#include "criu/stream_connection.h"

namespace ckptseal {
namespace {

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un out = {};
  out.sun_family = AF_UNIX;
  if (path.size() >= sizeof out.sun_path) return std::nullopt;
  std::memcpy(out.sun_path, path.c_str(), path.size() + 1);
  return out;
}

}  // namespace

Result<UniqueFd> listen_at(const std::string& path, int type) {
  const std::optional<sockaddr_un> address = address_of(path);
  if (!address) {
    return Error{Code::failed,
                 fmt::format("The socket's path {} is too long; use a shorter folder.", path), 0};
  }
  UniqueFd out(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* const name = reinterpret_cast<const sockaddr*>(&*address);
  if (!out.valid() || bind(out.get(), name, sizeof *address) != 0 ||
      chmod(path.c_str(), 0600) != 0 || listen(out.get(), 4) != 0) {
    return system_error(fmt::format("Cannot listen at {}", path), errno);
  }
  return out;
}

Result<HookServer> HookServer::start(const std::string& folder, const std::string& program) {
  std::string path = fmt::format("{}/{}", folder, hook_name);
  if (symlink(program.c_str(), path.c_str()) != 0) {
    return system_error(fmt::format("Cannot make {}", path), errno);
  }
  CKPTSEAL_ASSIGN(UniqueFd listener,
                  listen_at(fmt::format("{}/{}", folder, hook_socket), SOCK_SEQPACKET));
  return HookServer(std::move(path), std::move(listener));
}

Result<std::optional<HookCall>> HookServer::accept() const {
  HookCall call;
  call.connection.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!call.connection.valid()) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
      return std::optional<HookCall>();
    return system_error("Cannot hear the action script", errno);
  }
  if (!check_stream_peer(call.connection.get()).ok()) return std::optional<HookCall>();
  const timeval patience = {5, 0};
  setsockopt(call.connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::array<char, 32> action{};
  const ssize_t n = recv(call.connection.get(), action.data(), action.size(), 0);
  call.action.assign(action.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  if (!is_hook_question(call.action)) return std::optional<HookCall>();
  return std::optional<HookCall>(std::move(call));
}

bool HookServer::is_gone(const HookCall& call) {
  pollfd connection = {call.connection.get(), POLLIN, 0};
  return poll(&connection, 1, 0) > 0;  // it has nothing more to say
}

void HookServer::let_go_on(HookCall call) {
  // A script that is gone needs no answer.
  (void)send(call.connection.get(), &hook_go_on, 1, MSG_NOSIGNAL);
}

}  // namespace ckptseal
