// SPDX-License-Identifier: Apache-2.0
//
// The one type in which a secret lives: a data key, a derived key, a passphrase. Its memory is
// locked, left out of core dumps and of forked children, and wiped when it goes. It can be moved,
// not copied, compared or printed.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace ckptseal {

class Secret {
 public:
  // `size` zero bytes, 1 to 1 MiB. The memory is memfd_secret's where the kernel has it (then not
  // even root reads it through /proc), else anonymous and locked. Fails with Code::failed when the
  // memory cannot be locked.
  static Result<Secret> make(std::size_t size);
  static Result<Secret> copy_of(ByteView bytes);

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  std::size_t size() const { return size_; }
  // Valid as long as this Secret; gone with a move.
  ByteView view() const { return {data_, size_}; }
  MutableByteView mutable_view() { return {data_, size_}; }
  // Makes it shorter; the rest is wiped at once.
  void shrink(std::size_t size);

 private:
  Secret(std::uint8_t* data, std::size_t size, std::size_t mapped)
      : data_(data), size_(size), mapped_(mapped) {}
  void release();

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

// Overwrites memory in a way that the compiler keeps.
void wipe(MutableByteView bytes);

}  // namespace ckptseal
