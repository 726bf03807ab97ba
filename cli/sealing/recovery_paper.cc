// SPDX-License-Identifier: Apache-2.0
#include "cli/sealing/recovery_paper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace ckptseal {

Result<std::shared_ptr<RecoveryPaper>> RecoveryPaper::make(int fd) {
  CKPTSEAL_ASSIGN(Pipe printed, make_pipe());
  // Who looks whether something was printed does not wait for who has not.
  if (fcntl(printed.read_end.get(), F_SETFL, O_NONBLOCK) != 0) {
    return system_error("Cannot prepare the recovery key", errno);
  }
  // NOLINTNEXTLINE: the constructor is private
  return std::shared_ptr<RecoveryPaper>(new RecoveryPaper(fd, std::move(printed)));
}

Status RecoveryPaper::write(const RecoveryKey& key) {
  CKPTSEAL_ASSIGN(text_, recovery_text(key.key));
  id_ = key.id;
  return {};
}

// From memory that is wiped to whom it is for, and nowhere else.
Status RecoveryPaper::print() {
  if (!text_) return {};
  CKPTSEAL_TRY(write_full(fd_, as_bytes(fmt::format("recovery id  {}\n", to_hex(id_)))));
  CKPTSEAL_TRY(write_full(printed_.write_end.get(), id_));
  CKPTSEAL_TRY(write_full(fd_, text_->view()));
  return write_full(fd_, as_bytes("\n"));
}

std::string RecoveryPaper::in_vain() {
  RecoveryId id{};
  if (read(printed_.read_end.get(), id.data(), id.size()) != static_cast<ssize_t>(id.size())) {
    return "";
  }
  return fmt::format(
      "The recovery key with the id {} was printed for nothing: no file has a slot for it. Destroy "
      "its paper.",
      to_hex(id));
}

}  // namespace ckptseal
