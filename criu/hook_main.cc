// SPDX-License-Identifier: Apache-2.0
//
// ckpt-seal-hook, the action script of CRIU: asks ckpt-seal through a socket beside the path that
// it is called by, and ends as it is told. docs/criu.md, "Action script".
//
// CRIU starts it many times while tasks stand still, so it needs the C library alone.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "criu/hook_protocol.h"

namespace {

// False when it does not fit: no socket can be there.
bool socket_beside(std::string_view path, sockaddr_un& out) {
  out.sun_family = AF_UNIX;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return false;
  const std::size_t folder = slash + 1;
  const std::string_view name = ckptseal::hook_socket;
  if (folder + name.size() >= sizeof out.sun_path) return false;
  std::memcpy(out.sun_path, path.data(), folder);
  std::memcpy(out.sun_path + folder, name.data(), name.size());
  return true;
}

bool goes_on(std::string_view path, std::string_view action) {
  sockaddr_un address = {};
  if (!socket_beside(path, address)) return false;
  const int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (server < 0 ||
      connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      send(server, action.data(), action.size(), MSG_NOSIGNAL) < 0) {
    return false;
  }
  char answer = 0;
  ssize_t n = 0;
  do {
    n = recv(server, &answer, 1, 0);
  } while (n < 0 && errno == EINTR);
  return n == 1 && answer == ckptseal::hook_go_on;
}

}  // namespace

int main(int, char** argv) {
  const char* const action = std::getenv("CRTOOLS_SCRIPT_ACTION");
  if (action == nullptr || !ckptseal::is_hook_question(action)) return 0;
  return goes_on(argv[0], action) ? 0 : 1;
}
