// SPDX-License-Identifier: Apache-2.0
//
// One folder of trusted host records, `trusted/recipient` or `trusted/origin`: a file for each
// record, named NAME-FINGERPRINT16.record. docs/state.md, "trusted/". Decides nothing about trust;
// hosts/trust.h does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hosts/host_record.h"

namespace ckptseal {

struct TrustFile {
  std::string path;
  std::string name;               // as the file name says
  std::string fingerprint_start;  // 16 hexadecimal digits, likewise
};

class TrustFolder {
 public:
  explicit TrustFolder(std::string path) : path_(std::move(path)) {}

  // All files, or those of one host name, in the order of their names; none when the folder is not
  // there. Code::failed when others could have written to it.
  Result<std::vector<TrustFile>> files() const;
  Result<std::vector<TrustFile>> files_of(std::string_view name) const;

  // The verified record in a file, whatever its time; Code::integrity when it is not the one that
  // the file name says.
  static Result<SignedHostRecord> load(const TrustFile& file);

  // Where write() puts a record.
  std::string path_for(const SignedHostRecord& record) const;
  // Makes the folder if need be; a record that is there already is written again.
  Status write(const SignedHostRecord& record) const;

 private:
  std::string path_;
};

}  // namespace ckptseal
