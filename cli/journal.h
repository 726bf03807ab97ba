// SPDX-License-Identifier: Apache-2.0
//
// What was dumped, restored, rewrapped and destroyed on this host, and by whom: a line for each,
// also for what was refused or failed. docs/state.md, "journal".
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "sealing/helper.h"

namespace ckptseal {

// What a command knows by its end; the rest stays empty.
struct JournalEntry {
  std::string verb;
  std::string path;                  // of the sealed file, as the user named it
  std::optional<pid_t> pid;          // of the first process of the tree
  std::string checkpoint_id;         // in bytes, as in HelperReport
  std::string origin;                // the same
  Json recipients = Json::array();   // each with `name`, `identity`, `fingerprint`
  std::vector<std::string> removed;  // slots, as the user named them
  std::optional<unsigned> opened_slot;
  int ended_by = 0;  // the signal that ends the command; 0: none

  void set_authentic(const proto::Authentic& what) {
    checkpoint_id = what.checkpoint_id();
    origin = what.origin();
  }
};

class Journal {
 public:
  // Code::failed when the journal cannot be written: then nothing is to be done. Writes nothing,
  // but makes the file. Where there is no state folder there is no journal.
  static Result<Journal> open(const std::string& state_folder);
  // As open(), without making anything: the problem, if there is one.
  static Status check(const std::string& state_folder);

  // The line of a command, or of what it did to one file, that ended like `result`. What keeps it
  // from being written is a warning.
  template <typename T>
  void record(const JournalEntry& entry, const Result<T>& result, Console& console) const {
    record(entry, result.ok() ? nullptr : &result.error(), console);
  }

 private:
  explicit Journal(std::string path) : path_(std::move(path)) {}
  void record(const JournalEntry& entry, const Error* error, Console& console) const;

  std::string path_;  // empty: no state folder
};

}  // namespace ckptseal
