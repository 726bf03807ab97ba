// SPDX-License-Identifier: Apache-2.0
//
// The table of options, and getopt_long's rules for finding them in words.
#include "criu/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

namespace ckptseal {
namespace {

enum class Value : std::uint8_t {
  none,
  required,
  optional
};  // an optional one is never a word of its own
enum class In : std::uint8_t { dump, restore, both };

struct Option {
  std::string_view name;
  char letter;  // 0: there is none
  Value value;
  In in;
  std::string_view refusal;  // empty: passed on
};

constexpr std::string_view ours = "ckpt-seal sets it itself";
constexpr std::string_view plain_pages = "it moves pages past the sealing, in plaintext";
constexpr std::string_view chain = "a chain of images cannot be sealed, only whole dumps";
constexpr std::string_view no_dump = "ckpt-seal does not support it";

constexpr Option options[] = {
    // What ckpt-seal sets.
    {"tree", 't', Value::required, In::both, "name the process with ckpt-seal's own -t"},
    {"images-dir", 'D', Value::required, In::both, ours},
    {"work-dir", 'W', Value::required, In::both, ours},
    {"stream", 0, Value::none, In::both, ours},
    {"log-file", 'o', Value::required, In::both, ours},
    {"display-stats", 0, Value::none, In::both, ours},
    {"action-script", 0, Value::required, In::both,
     "the script decides when a dump counts and whether a restore may run"},
    {"leave-running", 'R', Value::none, In::dump, "say --leave-running to ckpt-seal instead"},
    {"leave-stopped", 's', Value::none, In::both, no_dump},
    {"restore-detached", 'd', Value::none, In::restore, "say --detach to ckpt-seal instead"},
    {"restore-sibling", 'S', Value::none, In::restore, ours},
    {"pidfile", 0, Value::required, In::both, "say --pidfile to ckpt-seal instead"},
    {"config", 0, Value::required, In::both, "a configuration file can hold any option"},
    {"no-default-config", 0, Value::none, In::both, ours},
    {"exec-cmd", 0, Value::none, In::restore, no_dump},
    // What goes round the stream or breaks it.
    {"page-server", 0, Value::none, In::both, plain_pages},
    {"address", 0, Value::required, In::both, plain_pages},
    {"port", 0, Value::required, In::both, plain_pages},
    {"ps-socket", 0, Value::required, In::both, plain_pages},
    {"tls", 0, Value::none, In::both, plain_pages},
    {"lazy-pages", 0, Value::none, In::both, plain_pages},
    {"prev-images-dir", 0, Value::required, In::both, chain},
    {"track-mem", 0, Value::none, In::both, chain},
    {"pre-dump-mode", 0, Value::required, In::both, chain},
    {"auto-dedup", 0, Value::none, In::both, chain},

    {"status-fd", 0, Value::required, In::both, ours},
    {"inherit-fd", 0, Value::required, In::restore, no_dump},
    // What is passed on.
    {"shell-job", 'j', Value::none, In::both, ""},
    {"file-locks", 'l', Value::none, In::both, ""},
    {"ext-unix-sk", 'x', Value::optional, In::both, ""},
    {"tcp-established", 0, Value::none, In::both, ""},
    {"tcp-close", 0, Value::none, In::both, ""},
    {"skip-in-flight", 0, Value::none, In::dump, ""},
    {"network-lock", 0, Value::required, In::dump, ""},
    {"evasive-devices", 0, Value::none, In::both, ""},
    {"link-remap", 0, Value::none, In::both, ""},
    {"ghost-limit", 0, Value::required, In::dump, ""},
    {"ghost-fiemap", 0, Value::none, In::dump, ""},
    {"external", 0, Value::required, In::both, ""},
    {"ext-mount-map", 'M', Value::required, In::both, ""},
    {"enable-external-sharing", 0, Value::none, In::dump, ""},
    {"enable-external-masters", 0, Value::none, In::dump, ""},
    {"enable-fs", 0, Value::required, In::both, ""},
    {"skip-mnt", 0, Value::required, In::dump, ""},
    {"mntns-compat-mode", 0, Value::none, In::restore, ""},
    {"force-irmap", 0, Value::none, In::dump, ""},
    {"irmap-scan-path", 0, Value::required, In::dump, ""},
    {"manage-cgroups", 0, Value::optional, In::both, ""},
    {"cgroup-root", 0, Value::required, In::both, ""},
    {"cgroup-props", 0, Value::required, In::both, ""},
    {"cgroup-props-file", 0, Value::required, In::both, ""},
    {"cgroup-dump-controller", 0, Value::required, In::dump, ""},
    {"cgroup-yard", 0, Value::required, In::both, ""},
    {"freeze-cgroup", 0, Value::required, In::dump, ""},
    {"timeout", 0, Value::required, In::dump, ""},
    {"cpu-cap", 0, Value::optional, In::both, ""},
    {"lsm-profile", 0, Value::required, In::restore, ""},
    {"lsm-mount-context", 0, Value::required, In::restore, ""},
    {"join-ns", 'J', Value::required, In::restore, ""},
    {"empty-ns", 0, Value::required, In::both, ""},
    {"root", 'r', Value::required, In::restore, ""},
    {"veth-pair", 0, Value::required, In::restore, ""},
    {"libdir", 'L', Value::required, In::both, "a library of a plugin runs as root in CRIU"},

    {"file-validation", 0, Value::required, In::restore, ""},
    {"skip-file-rwx-check", 0, Value::none, In::restore, ""},
    {"weak-sysctls", 0, Value::none, In::restore, ""},
    {"file-validation", 0, Value::required, In::both, ""},
    {"allow-uprobes", 0, Value::none, In::dump, ""},
    {"unprivileged", 0, Value::none, In::both, no_dump},
    {"verbosity", 'v', Value::optional, In::both, ""},
    {"log-pid", 0, Value::none, In::restore, ours},
};

Error refused(std::string_view option, std::string_view why) {
  return {Code::usage, fmt::format("The CRIU option {} is refused: {}; leave it out.", option, why),
          0};
}

bool has(CriuVerb verb, In in) {
  return in == In::both || (in == In::dump) == (verb == CriuVerb::dump);
}

// The option, if it may be passed on.
Result<const Option*> find(CriuVerb verb, std::string_view shown,
                           const std::optional<std::string_view>& name, char letter) {
  const Option* const found = std::find_if(
      std::begin(options), std::end(options),
      [&](const Option& option) { return name ? option.name == *name : option.letter == letter; });
  if (found == std::end(options)) {
    return refused(shown, "ckpt-seal does not know it, or it is abbreviated");
  }
  if (!found->refusal.empty()) return refused(shown, found->refusal);
  if (!has(verb, found->in)) {
    return refused(shown, verb == CriuVerb::dump ? "it is one of restore" : "it is one of dump");
  }
  return found;
}

Error without_value(std::string_view option) {
  return {Code::usage,
          fmt::format("The CRIU option {} wants a value; write it behind the option.", option), 0};
}

// True when the next word is its value.
Result<bool> check_long(CriuVerb verb, std::string_view word) {
  const std::size_t equals = word.find('=');
  const std::string_view shown = word.substr(0, equals);
  CKPTSEAL_ASSIGN(const Option* option, find(verb, shown, shown.substr(2), 0));
  if (equals == std::string_view::npos) return option->value == Value::required;
  if (option->value == Value::none) return refused(shown, "it takes no value");
  return false;
}

// `-jl`, `-v4`, `-J net:/x`: letters, until one of them takes the rest as its value.
Result<bool> check_short(CriuVerb verb, std::string_view word) {
  for (std::size_t i = 1; i < word.size(); ++i) {
    const std::string shown = fmt::format("-{}", word[i]);
    CKPTSEAL_ASSIGN(const Option* option, find(verb, shown, std::nullopt, word[i]));
    if (option->value == Value::none) continue;
    return option->value == Value::required && i + 1 == word.size();
  }
  return false;
}

}  // namespace

Status check_criu_options(CriuVerb verb, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    // CRIU looks for this in the middle of words, too.
    const bool hides_config = std::any_of(words.begin(), words.end(), [](const std::string& any) {
      return any.find("--config=") != std::string::npos;
    });
    if (hides_config) return refused("--config", "a configuration file can hold any option");
    if (word.size() < 2 || word[0] != '-' || word == "--") {
      return Error{Code::usage,
                   fmt::format("'{}' is no option of CRIU; only options can be passed on.", word),
                   0};
    }
    CKPTSEAL_ASSIGN(const bool takes_next,
                    word[1] == '-' ? check_long(verb, word) : check_short(verb, word));
    if (!takes_next) continue;
    if (++i == words.size()) return without_value(word);
  }
  return {};
}

bool may_have_shell_job(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](std::string_view word) {
    const bool letters = word.starts_with('-') && !word.starts_with("--");
    return word == "--shell-job" || (letters && word.find('j') != std::string_view::npos);
  });
}

}  // namespace ckptseal
