// SPDX-License-Identifier: Apache-2.0
//
// Memory in pages of its own, to be lent to a pipe with vmsplice(2). What a pipe refers to when the
// buffer is gone stays as it was, for its pages are unmapped and serve nothing else.
#pragma once

#include <cstddef>
#include <utility>

#include "base/bytes.h"

namespace ckptseal {

class PageBuffer {
 public:
  PageBuffer() = default;
  // `size` bytes, all zero. Throws std::bad_alloc.
  explicit PageBuffer(std::size_t size);
  PageBuffer(PageBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer();

  MutableByteView view() const { return {data_, size_}; }  // begins with a page

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ckptseal
