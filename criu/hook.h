// SPDX-License-Identifier: Apache-2.0
//
// The action script of CRIU: a link to the program ckpt-seal-hook, which asks through a socket
// beside the link and ends as it is told here. docs/criu.md, "Action script".
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"

namespace ckptseal {

struct HookCall {
  std::string action;   // "post-dump" or "post-restore"
  UniqueFd connection;  // closed without an answer, the script fails
};

class HookServer {
 public:
  // In `folder`, which nobody else may enter; `program` is the path of ckpt-seal-hook.
  static Result<HookServer> start(const std::string& folder, const std::string& program);

  const std::string& path() const { return path_; }  // of the action script
  int fd() const { return listener_.get(); }         // readable when a script calls
  // nullopt when nobody called or the caller is not root or this user.
  Result<std::optional<HookCall>> accept() const;
  // True when the script has ended without waiting for an answer.
  static bool is_gone(const HookCall& call);
  // The only answer: without one the script fails.
  static void let_go_on(HookCall call);

 private:
  HookServer(std::string path, UniqueFd listener)
      : path_(std::move(path)), listener_(std::move(listener)) {}

  std::string path_;
  UniqueFd listener_;
};

// Listens on a unix socket at `path`, made with mode 0600. `type` is SOCK_STREAM or SOCK_SEQPACKET.
Result<UniqueFd> listen_at(const std::string& path, int type);

}  // namespace ckptseal
