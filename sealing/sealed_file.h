// SPDX-License-Identifier: Apache-2.0
//
// A sealed checkpoint as it can be read without a key: its size, header and trailer, the signature
// of its origin. What follows with the key is unlocked_file.h. docs/format.md, "Reading", 1 to 3.
//
// Errors of sealing/ are clauses ("its manifest is ..."); with_subject() makes the sentence.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hosts/trust.h"
#include "sealing/header.h"
#include "sealing/trailer.h"

namespace ckptseal {

enum class SignatureState : std::uint8_t { good, unsigned_allowed };

class SealedFile {
 public:
  // Step 1. `fd` is seekable, stays the caller's and must not change meanwhile; if it does, later
  // reads fail. Code::integrity when the file is not whole.
  static Result<SealedFile> open(int fd);

  // Steps 2 and 3: hashes the manifest and verifies the signature. Code::untrusted when no host in
  // `origins` is the file's origin, when its record had expired at the time of creation, or when
  // the file is unsigned and that is not allowed; Code::integrity when the signature does not fit.
  Result<SignatureState> verify_origin(std::span<const TrustedOrigin> origins, bool allow_unsigned);
  // Step 3 without the signature, for a reader that only inspects.
  Status hash_manifest();

  const HeaderBlock& header() const { return header_; }
  const ImmutablePart& immutable() const { return header_.immutable; }
  unsigned chosen_copy() const { return chosen_copy_; }  // of the header: 0 or 1
  const Trailer& trailer() const { return trailer_; }
  std::uint64_t size() const { return size_; }
  int fd() const { return fd_; }
  // Name of the trusted host that signed; empty before verify_origin() or if unsigned.
  const std::string& origin_name() const { return origin_name_; }
  // One header copy is not sound: the file opens, and a check of it fails.
  bool header_copy_damaged() const { return header_copy_damaged_; }
  // What is wrong with a spare header copy, one clause each; the file opens all the same.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The ciphertext of page `index`, the same as was hashed; Code::integrity if it changed since.
  Result<Bytes> read_page(std::uint64_t index) const;

 private:
  explicit SealedFile(int fd) : fd_(fd) {}
  Status read_size();
  Status read_header();
  Status choose_copy(ByteView both);
  Status read_trailer();
  Status verify_signature(const TrustedOrigin& origin) const;
  Result<Bytes> read_at(std::uint64_t offset, std::size_t size) const;

  int fd_;
  std::uint64_t size_ = 0;
  HeaderBlock header_;
  unsigned chosen_copy_ = 0;
  Trailer trailer_;
  std::string origin_name_;
  std::vector<std::string> warnings_;
  bool header_copy_damaged_ = false;
  std::vector<Digest> page_digests_;
  Digest manifest_digest_{};
};

// "FILE: clause; REMEDY." for an error that is a clause of sealing/.
Error with_subject(const std::string& file, Error error);

}  // namespace ckptseal
