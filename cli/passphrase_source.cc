// SPDX-License-Identifier: Apache-2.0
//
// Reads byte by byte into locked memory: nothing is read ahead, and nothing passes through a
// stream.
#include "cli/passphrase_source.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "base/crypto.h"

namespace ckptseal {
namespace {

constexpr std::size_t longest_passphrase = 1024;

// No echo, and no signals: what interrupts is read as a character, so that the terminal is always
// put back as it was.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd), changed_(tcgetattr(fd, &before_) == 0) {
    if (!changed_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    tcsetattr(fd_, TCSAFLUSH, &silent);
  }
  ~SilentTerminal() {
    if (changed_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  int fd_;
  termios before_ = {};
  bool changed_;
};

Error usage(const char* why) { return Error{Code::usage, why, 0}; }

// One character, 0 at the end of the input.
Result<std::uint8_t> read_character(int fd) {
  std::uint8_t c = 0;
  CKPTSEAL_ASSIGN(const std::size_t n, read_full(fd, {&c, 1}));
  return n == 0 ? std::uint8_t{0} : c;
}

Result<Secret> read_line(int fd, bool terminal) {
  constexpr std::uint8_t interrupt = 3;
  constexpr std::uint8_t end_of_input = 4;
  constexpr std::uint8_t backspace = 8;
  constexpr std::uint8_t rubout = 127;
  CKPTSEAL_ASSIGN(Secret line, Secret::make(longest_passphrase));
  std::size_t length = 0;
  for (;;) {
    CKPTSEAL_ASSIGN(const std::uint8_t c, read_character(fd));
    if (c == 0 || c == '\n' || (terminal && (c == '\r' || c == end_of_input))) break;
    if (terminal && c == interrupt) return Error{Code::failed, "Interrupted.", 0};
    if (terminal && (c == backspace || c == rubout)) {
      if (length > 0) line.mutable_view()[--length] = 0;
      continue;
    }
    if (length == longest_passphrase) {
      return usage("The passphrase is longer than 1024 bytes; use a shorter one.");
    }
    line.mutable_view()[length++] = c;
  }
  if (length == 0) return usage("The passphrase is empty; give one of some length.");
  line.shrink(length);
  return line;
}

Result<Secret> ask(int fd, std::string_view prompt) {
  const SilentTerminal silent(fd);
  CKPTSEAL_TRY(write_full(fd, as_bytes(prompt)));
  Result<Secret> line = read_line(fd, true);
  CKPTSEAL_TRY(write_full(fd, as_bytes("\n")));
  return line;
}

}  // namespace

Result<PassphraseSource> PassphraseSource::open(int named_fd) {
  PassphraseSource source;
  if (named_fd >= 0) {
    source.fd_ = named_fd;
    return source;
  }
  source.terminal_.reset(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!source.terminal_.valid()) {
    return Error{Code::failed,
                 "A passphrase is needed and there is no terminal to ask on; give it with "
                 "--passphrase-fd.",
                 static_cast<std::uint32_t>(errno)};
  }
  source.fd_ = source.terminal_.get();
  return source;
}

Result<Secret> PassphraseSource::read(std::string_view what, bool confirm) const {
  if (isatty(fd_) == 0) return read_line(fd_, false);
  CKPTSEAL_ASSIGN(Secret passphrase, ask(fd_, fmt::format("{}: ", what)));
  if (confirm) {
    CKPTSEAL_ASSIGN(const Secret again, ask(fd_, "The same again: "));
    if (!equal_constant_time(passphrase.view(), again.view())) {
      return usage("The two passphrases differ; try again.");
    }
  }
  return passphrase;
}

}  // namespace ckptseal
