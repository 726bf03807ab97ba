// SPDX-License-Identifier: Apache-2.0
//
// PEM by OpenSSL, which reads what others write.
#include "keymgr/public_key/pem_blocks.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <limits>

#include "keymgr/public_key/openssl_internal.h"

namespace ckptseal {
namespace {

// What OpenSSL allocates for one block.
struct RawBlock {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;

  RawBlock() = default;
  RawBlock(const RawBlock&) = delete;
  RawBlock& operator=(const RawBlock&) = delete;
  ~RawBlock() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
};

Error damaged(const std::string& what) {
  return {Code::integrity,
          fmt::format("{}: a PEM block is damaged, so copy the file again from its source.", what),
          take_openssl_code()};
}

}  // namespace

bool looks_like_pem(ByteView file) {
  return as_text(file).find("-----BEGIN ") != std::string_view::npos;
}

Result<std::vector<PemBlock>> read_pem_blocks(ByteView file, const std::string& what) {
  prepare_openssl();
  if (file.empty()) return std::vector<PemBlock>();  // OpenSSL refuses to read from nothing
  if (file.size() > std::numeric_limits<int>::max()) return damaged(what);
  const OwnedBio in(BIO_new_mem_buf(file.data(), static_cast<int>(file.size())));
  if (in == nullptr) return openssl_error("Cannot read PEM");
  std::vector<PemBlock> out;
  ERR_clear_error();
  for (;;) {
    RawBlock block;
    if (PEM_read_bio(in.get(), &block.name, &block.header, &block.data, &block.size) != 1) break;
    if (*block.header != '\0') return damaged(what);  // of an older, encrypted form
    out.push_back({block.name, Bytes(block.data, block.data + block.size)});
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end) return damaged(what);
  ERR_clear_error();
  return out;
}

}  // namespace ckptseal
