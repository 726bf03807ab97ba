// SPDX-License-Identifier: Apache-2.0
//
// Inputs of the targets that read what boots leave and bring, from the logs of real boots
// (tests/policies/event_logs) and images put together by hand.
#include <map>
#include <string>
#include <string_view>

#include "corpus.h"
#include "pe_file.h"
#include "policies/opened_states.h"
#include "policies/pcr_state.h"
#include "recorded_log.h"

namespace ckptseal::fuzz {
namespace {

// A log of each kind, one that is cut in its last event, and the header alone.
void add_event_logs(const Corpus& corpus) {
  constexpr std::size_t header_size = 61;
  for (const char* name : {"uki", "uki-257", "uki-pcrkey-257", "entry", "shim-grub"}) {
    corpus.add("event_log", test::recorded_log(name));
  }
  const Bytes log = test::recorded_log("uki");
  corpus.add("event_log", ByteView(log).first(log.size() - 1));
  corpus.add("event_log", ByteView(log).first(header_size));
}

void add_efi_images(const Corpus& corpus) {
  test::PeFile plain;
  corpus.add("efi_image", plain.bytes());
  plain.certificates = Bytes(16, 0xcc);
  plain.tail = Bytes(8, 't');
  corpus.add("efi_image", plain.bytes());
  corpus.add("efi_image", as_bytes(test::fake_kernel("6.1.0-1")));
  for (const char* stub : {"252.1", "257.9", "251"}) {
    const Bytes image = test::fake_unified_image(stub).bytes();
    corpus.add("efi_image", image);
    corpus.add("efi_image", ByteView(image).first(700));
  }
}

void add_pcr_states(const Corpus& corpus) {
  Digest value{};
  value.fill(0xab);
  const PcrState state{{{0, Digest{}}, {23, value}}};
  const std::string document = state.serialize();
  corpus.add("pcr_state", as_bytes(document));
  corpus.add("pcr_state", as_bytes(document).first(document.size() - 3));
  corpus.add("pcr_state", as_bytes("{}"));
  const std::string zeros = "\"0\":\"" + std::string(64, '0') + "\"";
  const auto with_pcrs = [](const std::string& pcrs) {
    return R"({"schema_version":1,"bank":"sha256","pcrs":{)" + pcrs + "}}";
  };
  corpus.add("pcr_state", as_bytes(with_pcrs(zeros)));
  corpus.add("pcr_state", as_bytes(with_pcrs(zeros + "," + zeros)));  // twice
}

void add_opened_states(const Corpus& corpus) {
  const auto add = [&corpus](const OpenedStates& states) {
    const Bytes content = states.serialize();
    // The target puts the checksum back.
    corpus.add("opened_states", ByteView(content).first(content.size() - 32));
  };
  OpenedStates states{ByteView()};
  add(states);
  for (std::uint8_t i = 1; i <= 3; ++i) {
    Digest value{};
    value.fill(i);
    OpenedState opened;
    opened.time = i;
    opened.pcrs.pcrs = {{4, value}, {7, Digest{}}};
    if (i != 2) opened.log = value;
    states.remember(OpenedStates::Id{i}, opened);
    add(states);
  }
}

}  // namespace

void add_boots(const Corpus& corpus) {
  add_event_logs(corpus);
  add_efi_images(corpus);
  add_pcr_states(corpus);
  add_opened_states(corpus);
}

}  // namespace ckptseal::fuzz
