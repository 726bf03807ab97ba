// SPDX-License-Identifier: Apache-2.0
//
// Puts state folder, trust and TPM together.
#include "cli/host_access.h"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/step.h"
#include "cli/token_signer.h"
#include "keymgr/pkcs11/pin_file.h"

namespace ckptseal {
namespace {

// Connects at the first question, so that a file without a slot for this host needs no TPM.
class LazyTpm : public Tpm {
 public:
  LazyTpm(std::string tcti, std::chrono::milliseconds timeout, TpmKeys keys, bool verbose)
      : tcti_(std::move(tcti)), timeout_(timeout), keys_(std::move(keys)), verbose_(verbose) {}

  Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) override {
    CKPTSEAL_ASSIGN(EsysTpm * tpm, connected());
    Result<Secret> out = tpm->unseal(object, run);
    if (verbose_) show_commands(tpm->connection());
    return out;
  }
  Result<EcdsaSignature> sign(const Digest& digest) override {
    CKPTSEAL_ASSIGN(EsysTpm * tpm, connected());
    return tpm->sign(digest);
  }
  Status cap(unsigned pcr) override {
    CKPTSEAL_ASSIGN(EsysTpm * tpm, connected());
    return tpm->cap(pcr);
  }
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override {
    CKPTSEAL_ASSIGN(EsysTpm * tpm, connected());
    return tpm->read_pcrs(selection);
  }

 private:
  // On the terminal at once: this is the helper, and what it says to its parent comes later.
  static void show_commands(TpmConnection& connection) {
    std::vector<std::string> names;
    for (const std::uint32_t code : connection.commands()) names.push_back(command_name(code));
    const std::string line =
        fmt::format("ckpt-seal: {} TPM commands: {}.\n", names.size(), fmt::join(names, ", "));
    (void)write_full(STDERR_FILENO, as_bytes(line));
    connection.forget_commands();
  }
  Result<EsysTpm*> connected() {
    if (!tpm_) {
      CKPTSEAL_ASSIGN(TpmConnection connection, TpmConnection::open(tcti_, timeout_));
      tpm_.emplace(std::move(connection), keys_);
      reached("restore: the TPM is reached");
    }
    return &*tpm_;
  }

  std::string tcti_;
  std::chrono::milliseconds timeout_;
  TpmKeys keys_;
  bool verbose_;
  std::optional<EsysTpm> tpm_;
};

class HostTpmIdentity : public Identity {
 public:
  HostTpmIdentity(LazyTpm tpm, const TpmName& parent, ReleaseHelp help)
      : tpm_(std::move(tpm)), identity_(tpm_, parent, std::move(help)) {}

  Result<std::optional<Secret>> unwrap(const SlotBody& slot, const Checkpoint& of) override {
    return identity_.unwrap(slot, of);
  }
  Status before_use() override { return identity_.before_use(); }

 private:
  LazyTpm tpm_;
  Tpm2Identity identity_;
};

}  // namespace

Result<PublicKey> storage_key_of(const HostRecord& record) {
  const EcPoint& point = record.token->storage_key;
  return PublicKey::from_point(KeyAlgorithm::ecdh_p256,
                               ByteWriter().u8(0x04).bytes(point.x).bytes(point.y).view(),
                               fmt::format("The storage key of {}", record.name));
}

Seconds now_seconds() { return static_cast<Seconds>(std::time(nullptr)); }

Result<HostAccess> HostAccess::open(const Globals& globals) {
  HostAccess host(globals.state);
  host.tpm_name_ = globals.tpm;
  host.verbose_ = globals.verbose;
  host.tpm_timeout_ = std::chrono::seconds(globals.tpm_timeout);
  const Status checked = host.state_.check();
  if (!checked.ok()) {
    if (checked.error().cause == ENOENT) return host;
    return checked.error();
  }
  CKPTSEAL_ASSIGN(host.token_, host.state_.token());
  if (host.token_) {
    // Provisioning may have been cut short.
    CKPTSEAL_ASSIGN(const auto there, host.state_.record());
    if (!there) host.token_.reset();
  }
  if (host.token_) {
    CKPTSEAL_ASSIGN(host.record_, verify_own_record(host.state_));
    return host;
  }
  CKPTSEAL_ASSIGN(host.keys_, host.state_.keys());
  if (!host.keys_) return host;
  CKPTSEAL_ASSIGN(host.record_, verify_own_record(host.state_));
  if (host.tpm_name_.empty()) {
    CKPTSEAL_ASSIGN(const std::optional<std::string> tcti, host.state_.tcti());
    host.tpm_name_ = tcti.value_or("");
  }
  return host;
}

std::uint64_t machine_memory() {
  return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

Status HostAccess::require_signing() const {
  CKPTSEAL_TRY(require_provisioned());
  if (!record_->expired(now_seconds())) return {};
  return Error{
      Code::untrusted,
      "This host's own record has expired, and nobody accepts what it signs from then on; "
      "run 'ckpt-seal provision' again and have its new record trusted, or say --unsigned.",
      0};
}

Status HostAccess::require_provisioned() const {
  if (provisioned()) return {};
  return Error{
      Code::failed,
      fmt::format("This host is not provisioned (nothing in {}); run 'ckpt-seal provision', "
                  "or name its state folder with --state.",
                  state_.folder()),
      0};
}

TrustStore HostAccess::trust_store() const {
  return TrustStore(state_.trusted_folder(), now_seconds(), record_);
}

Result<TpmSession> HostAccess::start_tpm() const {
  CKPTSEAL_TRY(require_provisioned());
  if (has_token()) {
    return Error{Code::usage, "This host has a token and no TPM; leave --tpm out.", 0};
  }
  return TpmSession::start(state_, tpm_name_);
}

Result<EsysTpm> HostAccess::connect(const TpmSession& session) const {
  CKPTSEAL_ASSIGN(TpmConnection connection, session.connect(tpm_timeout_));
  return EsysTpm(std::move(connection), *keys_);
}

Result<EcdsaSignature> HostAccess::sign(const Digest& digest) const {
  if (has_token()) return sign_with_token(digest);
  CKPTSEAL_ASSIGN(const TpmSession session, start_tpm());
  CKPTSEAL_ASSIGN(EsysTpm tpm, connect(session));
  reached("dump: the TPM is reached");
  return tpm.sign(digest);
}

// Held against the record: a token that was exchanged would sign what nobody can open.
Result<EcdsaSignature> HostAccess::sign_with_token(const Digest& digest) const {
  CKPTSEAL_ASSIGN(const EcdsaSignature signature, sign_by_token(*token_, digest, tpm_timeout_));
  const std::vector<EcPoint>& keys = record_->record().token->signing_keys;
  const bool ours = std::any_of(keys.begin(), keys.end(), [&](const EcPoint& key) {
    return verify_p256(key, digest, signature);
  });
  if (ours) return signature;
  return Error{Code::failed,
               "The token signed with another key than that of this host's record; run 'ckpt-seal "
               "provision' with the right one.",
               0};
}

Result<std::unique_ptr<Identity>> HostAccess::token_identity(std::shared_ptr<TokenRun> run) const {
  CKPTSEAL_ASSIGN(const TokenUri uri, TokenUri::parse(token_->uri));
  CKPTSEAL_ASSIGN(PublicKey key, storage_key_of(record_->record()));
  return ckptseal::token_identity(uri, std::move(key), storage_key_id(token_->id), pin_of(uri),
                                  std::move(run));
}

std::unique_ptr<Identity> HostAccess::tpm_identity(const std::string& tcti,
                                                   ReleaseHelp help) const {
  return std::make_unique<HostTpmIdentity>(LazyTpm(tcti, tpm_timeout_, *keys_, verbose_),
                                           keys_->storage_parent.public_area.name(),
                                           std::move(help));
}

}  // namespace ckptseal
