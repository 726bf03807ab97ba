// SPDX-License-Identifier: Apache-2.0
//
// Takes a sealed checkpoint apart with its data key and puts it together again, wrong in one place
// and right in all others: what another recipient, or an origin with a broken writer, could make.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sample.h"

namespace ckptseal::test {

class Forge {
 public:
  // `word` is that of a DoubleRecipient of the file.
  Forge(ByteView file, const std::string& word);

  HeaderBlock header;
  Bytes data;                       // the data area
  std::vector<ManifestPage> pages;  // decrypted
  Bytes slots;                      // as they stand in both header copies

  const FileKeys& keys() const { return keys_; }
  Suite suite() const { return header.immutable.suite; }
  // The first page of its kind.
  template <typename Page>
  Page& page() {
    for (ManifestPage& candidate : pages) {
      if (Page* found = std::get_if<Page>(&candidate)) return *found;
    }
    throw std::logic_error("there is no such page");
  }
  // Encrypts `plaintext` as chunk `index` and puts it at `entry.offset`, with tag and digest.
  void replace_chunk(std::uint32_t image, std::uint64_t index, bool last, Bytes plaintext,
                     ChunkEntry& entry);

  // The whole file. With an origin it is signed anew, else it keeps its signature.
  Bytes build(const DoubleOrigin* origin) const;
  // The same with a change of the plaintext of each page just before it is encrypted.
  Bytes build(const DoubleOrigin* origin,
              const std::function<void(std::size_t page, Bytes& plaintext)>& change) const;

 private:
  Forge(ByteView file, const Secret& data_key, HeaderBlock parsed);
  static Secret key_of(const HeaderBlock& header, const std::string& word);

  FileKeys keys_;
  Trailer trailer_;
};

}  // namespace ckptseal::test
