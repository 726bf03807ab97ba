// SPDX-License-Identifier: Apache-2.0
//
// Reads the command line: verbs, their options, --help. CLI11 does it, behind this: its headers
// take longer to compile than all verbs together.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace ckptseal {

// What every verb knows.
struct Globals {
  std::string state = "/var/lib/ckpt-seal";
  std::string tpm;        // empty: as the host was provisioned
  std::string event_log;  // of this boot
  unsigned tpm_timeout = 30;
  bool json = false;
  bool verbose = false;
};

using Action = std::function<Result<Outcome>(const Globals&, Console&)>;

class Option {
 public:
  Option value_name(const std::string& name) const;  // what --help calls its value
  Option shows_default() const;
  Option required() const;
  Option needs(const Option& other) const;
  Option one_of(std::vector<std::string> words) const;
  Option between(unsigned least, unsigned most) const;
  // Looked at before this process opens anything: a number that its caller did not open would be
  // that of a file of its own by the time it is used.
  Option open_descriptor() const;

 private:
  friend class Verb;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// A verb, or a word with verbs of its own ("host"). A copy is the same verb.
class Verb {
 public:
  // `names`: "-o,--output", or without a dash for what stands alone. The value must live until the
  // action has run; text in a vector is one value for each time that the option is given,
  // or, without a dash, all that stand alone.
  Option option(const std::string& names, std::string& value, const std::string& help) const;
  Option option(const std::string& names, std::vector<std::string>& value,
                const std::string& help) const;
  Option option(const std::string& names, unsigned& value, const std::string& help) const;
  Option option(const std::string& names, int& value, const std::string& help) const;
  // What is left, also behind --; must come after all others that stand alone.
  void rest(const std::string& name, std::vector<std::string>& words,
            const std::string& help) const;
  Option flag(const std::string& names, bool& value, const std::string& help) const;

  // `example` is shown by its --help.
  Verb verb(const std::string& name, const std::string& help, const std::string& example) const;
  Verb group(const std::string& name, const std::string& help) const;
  // What it does, after the whole line was parsed.
  void does(Action action) const;

 private:
  friend class CommandLine;
  struct Choice {
    std::string verb;
    Action action;
  };
  Verb(CLI::App* app, Choice* choice) : app_(app), choice_(choice) {}

  CLI::App* app_;
  Choice* choice_;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& help, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Verb root();
  // The exit code when that was all: help was asked for, or the usage was wrong, and said so.
  std::optional<int> parse(int argc, char** argv);
  // What was chosen: "host trust".
  const std::string& verb() const { return choice_.verb; }
  const Action& action() const { return choice_.action; }

 private:
  std::unique_ptr<CLI::App> app_;
  Verb::Choice choice_;
};

}  // namespace ckptseal
