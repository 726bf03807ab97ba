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

// When slots are changed, unless a test says otherwise.
inline constexpr Seconds time_of_change = 1767300000;

class Forge {
 public:
  // `word` is that of a DoubleRecipient of the file.
  Forge(ByteView file, const std::string& word);

  HeaderBlock header;               // of both copies
  Bytes data;                       // the data area
  std::vector<ManifestPage> pages;  // decrypted
  Trailer trailer;                  // its offset and count are set by build()

  const FileKeys& keys() const { return keys_; }
  const Secret& data_key() const { return data_key_; }
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

  // The data key for a DoubleRecipient, in a slot as its origin makes it.
  Slot slot_for(const std::string& word) const;
  // The same from an adder; nullptr: unsigned.
  Slot slot_for(const std::string& word, const DoubleOrigin* adder, std::uint64_t generation,
                Seconds time = time_of_change) const;
  // Makes these the slots of a later generation, as `changer` says; nullptr: unsigned.
  void change_slots(const std::vector<Slot>& slots, std::uint64_t generation,
                    const DoubleOrigin* changer, Seconds time = time_of_change);
  // Signs the header as it is now.
  void sign_change(const DoubleOrigin* changer, Seconds time = time_of_change);
  // With other keys: what stands in the data area is lost.
  void set_immutable(const ImmutablePart& immutable);

  // One header copy, with its MAC.
  Bytes header_block() const { return header.serialize(keys_.header_key()); }
  // The whole file. With an origin it is signed anew, else it keeps its signature.
  Bytes build(const DoubleOrigin* origin) const;
  // The same with a change of the plaintext of each page just before it is encrypted.
  Bytes build(const DoubleOrigin* origin,
              const std::function<void(std::size_t page, Bytes& plaintext)>& change) const;

 private:
  Forge(ByteView file, Secret data_key, HeaderBlock parsed);

  Secret data_key_;
  FileKeys keys_;
};

// The file with other header copies.
Bytes with_header_copies(ByteView file, ByteView copy0, ByteView copy1);

}  // namespace ckptseal::test
