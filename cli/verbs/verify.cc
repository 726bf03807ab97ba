// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal verify`: is it whole, and from whom? The signature without a key, every chunk with
// one.
#include <fmt/format.h>

#include "cli/opening/reading.h"
#include "sealing/sealed_file.h"

namespace ckptseal {
namespace {

struct VerifyOptions {
  ReadingOptions reading;
  int slot = -1;
  bool no_key = false;
};

Outcome describe(const HelperReport& report) {
  Outcome outcome;
  outcome.json = describe_file(report);
  outcome.json["chunks_verified"] = report.chunks_verified();
  if (report.has_opened_slot()) outcome.json["opened_slot"] = report.opened_slot();
  const std::string origin = report.signature_verified()
                                 ? fmt::format("Signature good, sealed by {}", report.origin_name())
                                 : std::string("Unsigned");
  outcome.text = report.chunks_verified()
                     ? fmt::format("{}; every chunk good, {} of content.\n", origin,
                                   human_size(report.content_bytes()))
                     : fmt::format("{}; chunks unchecked, for that needs a key.\n", origin);
  return outcome;
}

Result<Outcome> verify(const Globals& globals, const VerifyOptions& options, Console& console) {
  const auto key = options.no_key ? Reading::Key::none : Reading::Key::host_by_default;
  CKPTSEAL_ASSIGN(auto reading, Reading::prepare(globals, options.reading, key));
  const bool asked = options.slot >= 0 || !options.reading.identities.empty();
  if (asked && !reading->has_identities()) {
    return Error{Code::usage, "To try a slot an identity is needed; name one with --identity.", 0};
  }
  if (options.slot >= 0) reading->job().only_slot = static_cast<std::size_t>(options.slot);
  const Result<HelperReport> report =
      verify_in_helper(reading->job(), !asked, reading->events(console));
  if (!report.ok()) return with_subject(reading->name(), report.error());
  reading->remember_opening(report.value());
  return describe(report.value());
}

}  // namespace

void add_verify_verb(const Verb& command) {
  auto options = std::make_shared<VerifyOptions>();
  const Verb verb = command.verb("verify", "Check that a sealed file is whole and from whom it is",
                                 "ckpt-seal verify backup.cks");
  add_reading_options(verb, options->reading);
  verb.option("--slot", options->slot, "Prove that this slot opens")
      .value_name("N")
      .between(0, 65535);
  verb.flag("--no-key", options->no_key, "Check the signature alone");
  verb.does([options](const Globals& globals, Console& c) { return verify(globals, *options, c); });
}

}  // namespace ckptseal
