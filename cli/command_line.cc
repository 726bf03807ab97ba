// SPDX-License-Identifier: Apache-2.0
//
// The one file that includes CLI11.
#include "cli/command_line.h"

#include <fcntl.h>

#include <CLI/CLI.hpp>

namespace ckptseal {
namespace {

// What "$UNSET" gives is no option that was left out: a fingerprint or a limit would be dropped.
std::string not_empty(const std::string& text) {
  return text.empty() ? "The value is empty: give one, or leave the option out" : "";
}

// The verb as far as it was understood.
std::string verb_of(const CLI::App* app) {
  std::string words;
  while (!app->get_subcommands().empty()) {
    app = app->get_subcommands().front();
    words += app->get_name() + " ";
  }
  return words;
}

}  // namespace

Option Option::value_name(const std::string& name) const {
  option_->type_name(name);
  return *this;
}

Option Option::shows_default() const {
  option_->capture_default_str();
  return *this;
}

Option Option::required() const {
  option_->required();
  return *this;
}

Option Option::needs(const Option& other) const {
  option_->needs(other.option_);
  return *this;
}

Option Option::one_of(std::vector<std::string> words) const {
  option_->check(CLI::IsMember(std::move(words)));
  return *this;
}

Option Option::between(unsigned least, unsigned most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::open_descriptor() const {
  option_->check([](const std::string& text) -> std::string {
    int fd = -1;
    if (CLI::detail::lexical_cast(text, fd) && fcntl(fd, F_GETFD) >= 0) return {};
    return "The descriptor " + text + " is not open: open it in the shell, as by 3<FILE or 3>FILE";
  });
  return *this;
}

Option Verb::option(const std::string& names, std::string& value, const std::string& help) const {
  return Option(app_->add_option(names, value, help)->check(not_empty));
}

Option Verb::option(const std::string& names, std::vector<std::string>& value,
                    const std::string& help) const {
  const bool alone = !names.starts_with('-');
  return Option(app_->add_option(names, value, help)->allow_extra_args(alone)->check(not_empty));
}

Option Verb::option(const std::string& names, unsigned& value, const std::string& help) const {
  return Option(app_->add_option(names, value, help));
}

Option Verb::option(const std::string& names, int& value, const std::string& help) const {
  return Option(app_->add_option(names, value, help));
}

void Verb::rest(const std::string& name, std::vector<std::string>& words,
                const std::string& help) const {
  app_->add_option(name, words, help);
}

Option Verb::flag(const std::string& names, bool& value, const std::string& help) const {
  return Option(app_->add_flag(names, value, help));
}

Verb Verb::verb(const std::string& name, const std::string& help,
                const std::string& example) const {
  CLI::App* const app = app_->add_subcommand(name, help);
  app->footer("Example:\n  " + example);
  app->fallthrough();
  return {app, choice_};
}

Verb Verb::group(const std::string& name, const std::string& help) const {
  CLI::App* const app = app_->add_subcommand(name, help);
  app->require_subcommand(1);
  app->fallthrough();
  return {app, choice_};
}

void Verb::does(Action action) const {
  app_->final_callback([app = app_, choice = choice_, action = std::move(action)] {
    const CLI::App* parent = app->get_parent();
    const bool nested = parent != nullptr && parent->get_parent() != nullptr;
    choice->verb = (nested ? parent->get_name() + " " : std::string()) + app->get_name();
    choice->action = action;
  });
}

CommandLine::CommandLine(const std::string& name, const std::string& help,
                         const std::string& version)
    : app_(std::make_unique<CLI::App>(help, name)) {
  app_->require_subcommand(1);
  app_->fallthrough();
  app_->set_version_flag("--version", name + " " + version);
  app_->failure_message([name](const CLI::App* failed, const CLI::Error& error) {
    return name + ": " + std::string(error.what()) + "; see '" + name + " " + verb_of(failed) +
           "--help'.\n";
  });
}

CommandLine::~CommandLine() = default;

Verb CommandLine::root() { return {app_.get(), &choice_}; }

std::optional<int> CommandLine::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? 0 : static_cast<int>(Code::usage);
  }
  return std::nullopt;
}

}  // namespace ckptseal
