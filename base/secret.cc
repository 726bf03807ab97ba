// SPDX-License-Identifier: Apache-2.0
//
// Memory for secrets: memfd_secret(2), or an anonymous locked mapping where there is none.
#include "base/secret.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/fd.h"

namespace ckptseal {
namespace {

constexpr std::size_t largest = 1 << 20;

std::size_t round_to_pages(std::size_t size) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

// nullptr where the kernel has no memfd_secret or does not give any.
void* map_secret_memory(std::size_t size) {
#ifdef SYS_memfd_secret
  UniqueFd fd(static_cast<int>(syscall(SYS_memfd_secret, static_cast<unsigned>(O_CLOEXEC))));
  if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return nullptr;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  return memory == MAP_FAILED ? nullptr : memory;
#else
  (void)size;
  return nullptr;
#endif
}

void* map_locked_memory(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (mlock(memory, size) == 0 && madvise(memory, size, MADV_DONTDUMP) == 0) return memory;
  const int error = errno;
  munmap(memory, size);
  errno = error;
  return nullptr;
}

}  // namespace

void wipe(MutableByteView bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

Result<Secret> Secret::make(std::size_t size) {
  if (size == 0 || size > largest) {
    return Error{Code::failed, "A secret has 1 byte to 1 MiB.", 0};
  }
  const std::size_t mapped = round_to_pages(size);
  void* memory = map_secret_memory(mapped);
  if (memory == nullptr) memory = map_locked_memory(mapped);
  if (memory == nullptr) {
    return system_error("Cannot lock memory for a key", errno);
  }
  if (madvise(memory, mapped, MADV_DONTFORK) != 0) {
    const int error = errno;
    munmap(memory, mapped);
    return system_error("Cannot keep a key out of child processes", error);
  }
  return Secret(static_cast<std::uint8_t*>(memory), size, mapped);
}

Result<Secret> Secret::copy_of(ByteView bytes) {
  CKPTSEAL_ASSIGN(Secret secret, make(bytes.size()));
  std::copy(bytes.begin(), bytes.end(), secret.data_);
  return secret;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_ = std::exchange(other.mapped_, 0);
  }
  return *this;
}

Secret::~Secret() { release(); }

void Secret::shrink(std::size_t size) {
  if (size >= size_) return;
  wipe(mutable_view().subspan(size));
  size_ = size;
}

void Secret::release() {
  if (data_ == nullptr) return;
  wipe({data_, mapped_});
  munmap(data_, mapped_);
  data_ = nullptr;
}

}  // namespace ckptseal
