// SPDX-License-Identifier: Apache-2.0
//
// `ckpt-seal keygen`: a private key in a file, for whoever has neither a TPM nor a token, and the
// public key that files are sealed for. docs/recipients.md.
#include <fmt/format.h>

#include <filesystem>

#include "base/output_file.h"
#include "base/pem.h"
#include "cli/verbs/verbs.h"
#include "keymgr/public_key/hybrid_key.h"
#include "keymgr/public_key/private_key.h"
#include "sealing/sandbox.h"

namespace ckptseal {
namespace {

struct KeygenOptions {
  bool post_quantum = false;
  std::string output;
  std::string public_output = "-";
  bool force = false;
  bool dry_run = false;
};

struct NewKey {
  Secret private_pem;
  std::string public_pem;
  KeyId id;
};

bool same_file(const std::string& a, const std::string& b) {
  std::error_code failed;
  const auto one = std::filesystem::weakly_canonical(a, failed);
  const auto other = std::filesystem::weakly_canonical(b, failed);
  return a == b || (!failed && one == other);
}

Status check(const KeygenOptions& options) {
  if (options.output == "-") {
    return Error{Code::usage, "A private key goes into a file, not to stdout; name one with -o.",
                 0};
  }
  if (options.public_output != "-" && same_file(options.output, options.public_output)) {
    return Error{Code::usage,
                 "The private and the public key would be one file; name another with --public.",
                 0};
  }
  if (options.post_quantum) CKPTSEAL_TRY(require_ml_kem(Code::usage));
  return {};
}

Result<NewKey> make_key(bool post_quantum) {
  if (post_quantum) {
    CKPTSEAL_ASSIGN(const HybridIdentity made, HybridIdentity::generate());
    CKPTSEAL_ASSIGN(Secret private_pem, made.pem());
    CKPTSEAL_ASSIGN(std::string public_pem, made.key()->pem());
    return NewKey{std::move(private_pem), std::move(public_pem), made.key()->id()};
  }
  CKPTSEAL_ASSIGN(Secret private_pem, make_private_key());
  CKPTSEAL_ASSIGN(const PublicKeyIdentity made,
                  read_private_key(private_pem, nullptr, "The new key"));
  CKPTSEAL_ASSIGN(std::string public_pem, pem_encode("PUBLIC KEY", made.key().spki()));
  return NewKey{std::move(private_pem), std::move(public_pem), made.key().id()};
}

// Both can be written before either is there, and the private one comes first: without it nobody
// would open what is sealed for the other.
Status write_key(const KeygenOptions& options, const NewKey& key) {
  const auto replace = options.force ? OutputFile::Replace::allowed : OutputFile::Replace::never;
  CKPTSEAL_ASSIGN(OutputFile file, OutputFile::create(options.output, 0600, replace));
  CKPTSEAL_TRY(write_full(file.fd(), key.private_pem.view()));
  if (options.public_output == "-") return file.commit();
  CKPTSEAL_ASSIGN(OutputFile beside, OutputFile::create(options.public_output, 0666, replace));
  CKPTSEAL_TRY(write_full(beside.fd(), as_bytes(key.public_pem)));
  CKPTSEAL_TRY(file.commit());
  return beside.commit();
}

Result<Outcome> keygen(const KeygenOptions& options) {
  CKPTSEAL_TRY(check(options));
  Outcome outcome;
  outcome.json = {{"dry_run", options.dry_run},
                  {"algorithm", options.post_quantum ? "x25519-ml-kem-768" : "x25519"},
                  {"output", options.output},
                  {"public", options.public_output}};
  if (options.dry_run) {
    outcome.text = fmt::format("Would make a {}key in {}.\n",
                               options.post_quantum ? "post-quantum " : "", options.output);
    return outcome;
  }
  // A private key comes into this process.
  CKPTSEAL_TRY(harden_process({}));
  CKPTSEAL_ASSIGN(const NewKey key, make_key(options.post_quantum));
  CKPTSEAL_TRY(write_key(options, key));
  outcome.json["key_id"] = to_hex(key.id);
  if (options.public_output == "-") {
    outcome.json["pem"] = key.public_pem;
    outcome.text = key.public_pem;
    return outcome;
  }
  outcome.text =
      fmt::format("Made the key, id {}: the private half in {}, the public half in {}.\n",
                  to_hex(key.id), options.output, options.public_output);
  return outcome;
}

}  // namespace

void add_keygen_verb(const Verb& command) {
  auto options = std::make_shared<KeygenOptions>();
  const Verb verb =
      command.verb("keygen", "Make a private key in a file, and print the public key to seal for",
                   "ckpt-seal keygen --post-quantum -o archive.key --public archive.pub");
  verb.flag("--post-quantum", options->post_quantum,
            "X25519 with ML-KEM-768, against quantum computers, too "
            "(default: X25519 alone); takes OpenSSL 3.5 or newer");
  verb.option("-o,--output", options->output,
              "Private key, for --identity; nobody else may read it")
      .value_name("FILE")
      .required();
  verb.option("--public", options->public_output, "Public key, for --to; - for standard output")
      .value_name("FILE")
      .shows_default();
  verb.flag("--force", options->force, "Replace files that exist");
  verb.flag("--dry-run", options->dry_run, "Check the options, make no key");
  verb.does([options](const Globals&, Console&) { return keygen(*options); });
}

}  // namespace ckptseal
