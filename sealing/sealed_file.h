// SPDX-License-Identifier: Apache-2.0
//
// A sealed checkpoint as it can be read without a key: its size, header and trailer, the signature
// of its origin, who vouches for its slots. What follows with the key is unlocked_file.h.
// docs/format.md, "Reading", 1 to 3.
//
// Errors of sealing/ are clauses ("its manifest is ..."); with_subject() makes the sentence.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "hosts/trust.h"
#include "sealing/header.h"
#include "sealing/trailer.h"

namespace ckptseal {

// Whom a reader trusts, as origin and so as who adds slots and changes headers.
struct ReaderTrust {
  std::span<const TrustedOrigin> hosts;
  bool allow_unsigned = false;
};

enum class SignatureState : std::uint8_t { good, unsigned_allowed };

// docs/format.md, "Slots": vouched for, or why not: `unlisted` for any reader, `forged` for one
// that has no other key of the adder.
enum class SlotStanding : std::uint8_t { vouched, unlisted, forged, untrusted };

class SealedFile {
 public:
  // Step 1. `fd` is seekable, stays the caller's and must not change meanwhile; if it does, later
  // reads fail. Code::integrity when the file is not whole.
  static Result<SealedFile> open(int fd);

  // Steps 2 and 3: hashes the manifest and verifies the signature of the origin and, of a header
  // that was changed, of who changed it. Code::untrusted when one of the two is not among the hosts
  // of `trust`, or it is unsigned and that is not allowed; Code::integrity when a signature does
  // not hold.
  Result<SignatureState> verify_origin(const ReaderTrust& trust);
  // Step 3 without the signature, for a reader that only inspects.
  Status hash_manifest();

  // Of one slot. Whatever the origin is: of a file that was not verified it says nothing.
  SlotStanding slot_standing(std::size_t index, const ReaderTrust& trust) const;

  const HeaderBlock& header() const { return header_; }
  const ImmutablePart& immutable() const { return header_.immutable; }
  unsigned chosen_copy() const { return chosen_copy_; }  // of the header: 0 or 1
  const Trailer& trailer() const { return trailer_; }
  std::uint64_t size() const { return size_; }
  int fd() const { return fd_; }
  // Name of the trusted host that signed; empty before verify_origin() or if unsigned.
  const std::string& origin_name() const { return origin_name_; }
  // Its signature was verified and is good, also if verify_origin() failed by who changed the
  // header.
  bool origin_verified() const { return !origin_name_.empty(); }
  // Name of the trusted host that signed the change of the header; empty like origin_name().
  const std::string& changer_name() const { return changer_name_; }
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
  Status verify_change(const ReaderTrust& trust);
  Result<Bytes> read_at(std::uint64_t offset, std::size_t size) const;

  int fd_;
  std::uint64_t size_ = 0;
  HeaderBlock header_;
  unsigned chosen_copy_ = 0;
  Trailer trailer_;
  std::string origin_name_;
  std::string changer_name_;
  std::vector<std::string> warnings_;
  bool header_copy_damaged_ = false;
  std::set<Digest> listed_slots_;
  std::vector<Digest> page_digests_;
  Digest manifest_digest_{};
};

// "FILE: clause; REMEDY." for an error that is a clause of sealing/.
Error with_subject(const std::string& file, Error error);

}  // namespace ckptseal
