// SPDX-License-Identifier: Apache-2.0
//
// Makes the small inputs of the fuzz targets: cuts sealed checkpoints out of an unpacked folder of
// tests/vectors, writes others by hand, and records a software TPM. Run by scripts/fuzz.sh
// --make-corpus, which adds to tests/fuzz/corpus what reaches code that the corpus does not. That
// is committed, so that the tests read the same with every run.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "corpus.h"
#include "hosts/host_record_wire.h"
#include "hybrid_vectors.h"
#include "keymgr/public_key/hybrid_slot.h"
#include "keymgr/public_key/slot.h"
#include "keymgr/recovery/recovery.h"
#include "keymgr/threshold/threshold.h"
#include "keymgr/tpm2/esys_tpm.h"
#include "keymgr/tpm2/provision.h"
#include "own_tpm.h"
#include "policies/approval.h"
#include "policies/online_approval.h"
#include "policies/policy_document.h"
#include "policies/use_record.h"
#include "proto/helper.pb.h"
#include "public_key_vectors.h"
#include "software_host.h"
#include "tpm_relay.h"

namespace ckptseal {
namespace {

namespace fs = std::filesystem;
using fuzz::Corpus;

void add_host_records(const Corpus& corpus) {
  const test::SoftwareHost host;
  for (const char* name : {"host-a", "a-second-host"}) {
    const SignedHostRecord record = host.record(name);
    const Bytes body = test::body_of(record);
    corpus.add("host_record", as_bytes(record.pem()));
    corpus.add("host_record", body);
    corpus.add("host_record", encode_envelope({body, test::signature_of(record)}));
  }
}

void add_messages(const Corpus& corpus) {
  const auto add = [&](const auto& message) {
    corpus.add("helper_message", as_bytes(message.SerializeAsString()));
  };
  proto::FromHelper from;
  from.mutable_progress()->set_done(5);
  add(from);
  from.set_sign_digest(std::string(32, 'd'));
  add(from);
  from.set_warning("one of its two header copies is damaged");
  add(from);
  from.set_tpm_done(true);
  add(from);
  from.mutable_failure()->set_code(5);
  from.mutable_failure()->set_message("its manifest is not as it has to be");
  add(from);
  proto::HelperReport& report = *from.mutable_report();
  report.set_suite("aes-256-gcm");
  report.add_slots()->set_policy(std::string(32, 'p'));
  report.add_images()->set_name("stream");
  report.mutable_exported_slot()->set_seed("seed");
  add(from);
  proto::ToHelper to;
  to.set_signature(std::string(64, 's'));
  add(to);
}

// Bodies behind their lengths, as CRIU sends them; no pipe comes with them.
void add_stream_requests(const Corpus& corpus) {
  const auto frame = [](const std::string& name) {
    ByteWriter out;
    const auto size = static_cast<std::uint8_t>(name.size());
    out.u8(static_cast<std::uint8_t>(size + 2)).zeros(3).u8(0x0a).u8(size).bytes(as_bytes(name));
    return out.take();
  };
  for (const char* name : {"inventory.img", "pages-1.img", "tmpfs-dev-12.tar.gz", "../x", ""}) {
    corpus.add("stream_request", frame(name));
  }
  Bytes two = frame("inventory.img");
  const Bytes second = frame("files.img");
  two.insert(two.end(), second.begin(), second.end());
  corpus.add("stream_request", two);
  corpus.add("stream_request", ByteView(two).first(9));
}

// Of fixed bytes, as nothing in these parsers depends on their being random.
Bytes recovery_body(std::uint8_t fill) {
  RecoverySlot slot;
  slot.id.fill(fill);
  slot.salt.fill(static_cast<std::uint8_t>(fill + 3));
  slot.wrapped_key.fill(static_cast<std::uint8_t>(fill + 1));
  slot.tag.fill(static_cast<std::uint8_t>(fill + 2));
  return slot.serialize();
}

void add_policies(const Corpus& corpus) {
  const test::SoftwareKey authority;
  const PcrTerm pcrs{{PcrSelection::of_mask(1U << 7).value(), {Digest{7}}}};
  const EpochTerm epoch{0x01800f00, 5};
  const ApprovalTerm restore{ApprovalPurpose::restore, authority.point(), "fleet"};
  const ApprovalTerm migrate{ApprovalPurpose::migrate, authority.point(), "fleet"};
  const Policy inner{{AnyTerm{{{{epoch}}, {{PinTerm{}}}}}}};
  for (const Policy& policy :
       {Policy{}, Policy{{pcrs}}, Policy{{pcrs, epoch, PinTerm{}}}, Policy{{restore, epoch}},
        Policy{{AnyTerm{{{{restore}}, {{migrate}}}}, epoch}}, Policy{{AnyTerm{{{{pcrs}}, inner}}}},
        Policy{{restore, epoch, OnlineTerm{authority.point()}}}}) {
    const Bytes bytes = policy.serialize();
    const std::string document = policy_document(policy);
    corpus.add("policy", bytes);
    corpus.add("policy", ByteView(bytes).first(bytes.size() - 1));
    corpus.add("policy", ByteWriter().bytes(bytes).u8(0).view());
    corpus.add("policy_document", as_bytes(document));
    corpus.add("policy_document", as_bytes(policy_document(opened(policy), {3, 1801398896})));
    corpus.add("policy_document", as_bytes(document).first(document.size() - 3));
  }
  ApprovalStatement statement;
  statement.term = restore;
  statement.pcrs = pcrs.pcrs;
  statement.created = 1;
  statement.label = "kernel 6.1";
  const auto add_approval = [&] {
    const Approval approval =
        Approval::sign(statement, [&](const Digest& digest) -> Result<EcdsaSignature> {
          return authority.sign(digest);
        }).value();
    corpus.add("approval", as_bytes(approval.pem()));
    corpus.add("approval", as_bytes(approval.pem()).first(approval.pem().size() / 2));
  };
  add_approval();
  statement.epoch = epoch;
  statement.expires = 2;
  add_approval();
}

void add_online_approvals(const Corpus& corpus) {
  const test::SoftwareKey authority;
  OnlineRequest request;
  request.key = authority.point();
  request.object = {0x00, 0x0b, 1};
  request.nonce = {2};
  for (const char* who : {"", "host-b"}) {
    request.who = who;
    const std::string pem = request.pem().value();
    corpus.add("online_request", as_bytes(pem));
    corpus.add("online_request", as_bytes(pem).first(pem.size() / 2));
    request.checkpoint = {{3}, {4, 5}};
  }
  const std::string answer =
      OnlineAnswer::sign(
          request, 300,
          [&](const Digest& digest) -> Result<EcdsaSignature> { return authority.sign(digest); })
          .value()
          .pem()
          .value();
  corpus.add("online_answer", as_bytes(answer));
  corpus.add("online_answer", as_bytes(answer).first(answer.size() / 2));
}

void add_recovery_slots(const Corpus& corpus) {
  const Bytes body = recovery_body(1);
  corpus.add("recovery_slot", body);
  corpus.add("recovery_slot", ByteView(body).first(body.size() - 1));
  corpus.add("recovery_slot", ByteWriter().bytes(body).u8(0).view());
}

void add_recovery_texts(const Corpus& corpus) {
  for (const char* text :
       {"000012-005667-011322-016977-022632-028287-033942-039597",
        "720886 720887 720888 720889\n720890 720891 720892 720893\r\n",
        "000012005667011322016977022632028287033942039597",
        "000012-005667-011323-016977-022632-028287-033942-039597",   // a wrong digit
        "000012-011322-005667-016977-022632-028287-033942-039597",   // groups exchanged
        "000012-005667-016977-022632-028287-033942-039597",          // one missing
        "000012-005667-O11322-016977-022632-028287-033942-039597",   // a letter
        "000012-005667-011322-016977-022632-028287-033942-0395970",  // too long
        "720897-005667-011322-016977-022632-028287-033942-039597",   // above a u16
        "-"}) {
    corpus.add("recovery_text", as_bytes(text));
  }
}

void add_threshold_slots(const Corpus& corpus) {
  ThresholdSlot slot;
  slot.needed = 2;
  for (std::uint16_t kind = 1; kind <= 4; ++kind) {
    slot.shares.push_back({kind, recovery_body(static_cast<std::uint8_t>(kind))});
  }
  const Bytes body = slot.serialize();
  corpus.add("threshold_slot", body);
  corpus.add("threshold_slot", ByteView(body).first(body.size() - 1));
  corpus.add("threshold_slot", ByteWriter().bytes(body).u8(0).view());
  slot.shares.assign(16, {4, Bytes(1, 1)});
  for (const std::uint8_t needed : {std::uint8_t{16}, std::uint8_t{17}}) {
    slot.needed = needed;
    corpus.add("threshold_slot", slot.serialize());
  }
  slot.needed = 2;
  slot.shares.assign(2, {0x1234, body});  // of an unknown kind
  corpus.add("threshold_slot", slot.serialize());
  slot.shares.assign(2, {5, body});  // nested
  corpus.add("threshold_slot", slot.serialize());
}

// Those of the vectors, and each with another source, without a label and cut in two.
void add_public_key_slots(const Corpus& corpus) {
  for (const std::string_view vector :
       {vectors::p256_slot, vectors::p384_slot, vectors::x25519_slot, vectors::rsa_slot}) {
    const Bytes body = from_hex(vector).value();
    PublicKeySlot slot = PublicKeySlot::parse(body).value();
    corpus.add("public_key_slot", body);
    corpus.add("public_key_slot", ByteView(body).first(body.size() / 2));
    slot.certificate = {};
    slot.label.clear();
    slot.source = KeySource::token;
    corpus.add("public_key_slot", slot.serialize());
  }
}

// That of the vector, cut, with a tail, and with other labels.
void add_hybrid_slots(const Corpus& corpus) {
  const Bytes body = from_hex(vectors::hybrid_slot).value();
  corpus.add("hybrid_slot", body);
  corpus.add("hybrid_slot", ByteView(body).first(body.size() - 1));
  corpus.add("hybrid_slot", ByteView(body).first(31));
  corpus.add("hybrid_slot", ByteWriter().bytes(body).u8(0).view());
  HybridSlot slot = HybridSlot::parse(body).value();
  for (const char* label : {"", "a\nb"}) {
    slot.label = label;
    corpus.add("hybrid_slot", slot.serialize());
  }
}

// Whole, cut, and without the checksum that the target makes.
void add_use_records(const Corpus& corpus) {
  UseRecord of_host(0x01800f10, 7, 1'700'000'000);
  UseRecord of_who_answers;
  for (UseRecord* record : {&of_host, &of_who_answers}) {
    for (std::uint8_t entries = 0; entries < 3; ++entries) {
      const Bytes content = record->serialize();
      corpus.add("use_record", content);
      corpus.add("use_record", ByteView(content).first(content.size() - 32));
      corpus.add("use_record", ByteView(content).first(content.size() / 2));
      if (!record->count(CheckpointId{entries}, 2, 1'700'000'000).ok()) return;
    }
  }
}

// Everything that a software TPM answers to one use of it.
void add_tpm_answers(const Corpus& corpus) {
  testing::OwnTpm own;
  const auto record = [&](std::uint8_t asked, const Bytes& keys, const auto& use) {
    const testing::ShortFolder folder;
    ByteWriter answers;
    const testing::TpmRelay relay(
        folder.path() + "/relay", own.socket(),
        [&](std::size_t, ByteView, const std::function<Bytes()>& ask) {
          Bytes answer = ask();
          answers.u16(static_cast<std::uint16_t>(answer.size())).bytes(answer);
          return answer;
        });
    use(TpmConnection::open(relay.tcti()).value());
    ByteWriter input;
    input.u8(asked).u16(static_cast<std::uint16_t>(keys.size())).bytes(keys);
    corpus.add("tpm_answers", input.bytes(answers.view()).view());
  };
  const auto plan = [](TpmConnection tpm) { (void)plan_provision(tpm).value(); };
  record(4, {}, plan);
  TpmIdentity identity;
  record(3, {}, [&](TpmConnection tpm) { identity = provision_tpm(tpm).value(); });
  record(4, {}, plan);
  const Bytes keys = identity.keys.serialize();
  const PcrSelection selection = PcrSelection::standard();
  PcrValues values;
  record(2, keys, [&](TpmConnection connection) {
    EsysTpm tpm(std::move(connection), identity.keys);
    values = tpm.read_pcrs(selection).value();
  });
  const SealedObject object =
      seal_to_parent(identity.storage_parent, policy_pcr(selection, values.digest()),
                     Secret::copy_of(Bytes(32, 1)).value())
          .value();
  record(0, keys, [&](TpmConnection connection) {
    EsysTpm tpm(std::move(connection), identity.keys);
    (void)tpm.unseal(object, selection).value();
  });
  record(1, keys, [&](TpmConnection connection) {
    EsysTpm tpm(std::move(connection), identity.keys);
    (void)tpm.sign(Digest{}).value();
  });
}

int make(const fs::path& vectors, const fs::path& folder) {
  const Corpus corpus(folder);
  const std::size_t count = fuzz::add_vectors(corpus, vectors);
  add_host_records(corpus);
  add_messages(corpus);
  add_stream_requests(corpus);
  add_policies(corpus);
  add_online_approvals(corpus);
  add_recovery_slots(corpus);
  add_recovery_texts(corpus);
  add_threshold_slots(corpus);
  add_public_key_slots(corpus);
  add_hybrid_slots(corpus);
  add_use_records(corpus);
  add_tpm_answers(corpus);
  fuzz::add_boots(corpus);
  std::printf("%zu vectors were cut into %s.\n", count, folder.c_str());
  return count == 0 ? 1 : 0;
}

}  // namespace
}  // namespace ckptseal

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "Usage: %s VECTORS CORPUS\n", argv[0]);
    return 2;
  }
  try {
    return ckptseal::make(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
