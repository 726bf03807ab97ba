// SPDX-License-Identifier: Apache-2.0
//
// Anonymous memory straight from the kernel: an allocator would use it again.
#include "base/page_buffer.h"

#include <sys/mman.h>

#include <new>

namespace ckptseal {

PageBuffer::PageBuffer(std::size_t size) : size_(size) {
  if (size == 0) return;
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(memory);
}

PageBuffer::~PageBuffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace ckptseal
