// SPDX-License-Identifier: Apache-2.0
//
// A TPM for provisioning tests: a chip that outlives the objects that open it, holds software keys,
// and can fail at any call.
#pragma once

#include <string>
#include <vector>

#include "provisioning/provisioning_tpm.h"
#include "software_host.h"

namespace ckptseal::test {

struct FakeChip {
  SoftwareHost host;
  bool has_keys = false;
  bool software = false;
  std::uint64_t epoch = 1;
  bool has_use_counter = false;
  std::uint64_t uses = 1;
  std::uint8_t pcr_byte = 0x11;  // every byte of every PCR
  int calls = 0;
  int fails_at = -1;  // the call that fails, from 0; -1: none
  std::vector<std::string> opened;

  TpmOpener opener();
};

class FakeProvisioningTpm : public ProvisioningTpm {
 public:
  explicit FakeProvisioningTpm(FakeChip& chip) : chip_(chip) {}

  Result<std::vector<ProvisionStep>> plan() override {
    if (fails()) return gone();
    return steps();
  }
  Result<TpmIdentity> provision(const ProvisionProgress& progress) override {
    if (fails()) return gone();
    if (progress) progress("Making the keys");
    chip_.has_keys = true;
    if (!chip_.has_use_counter) ++chip_.uses;
    chip_.has_use_counter = true;
    return identity();
  }
  Result<std::vector<ProvisionStep>> plan_removal(const TpmKeys& keys) override {
    if (fails()) return gone();
    std::vector<ProvisionStep> out = steps();
    for (ProvisionStep& step : out) step.exists = step.exists && ours(keys);
    return out;
  }
  Status remove(const TpmKeys& keys) override {
    if (fails()) return gone();
    if (ours(keys)) chip_.has_keys = chip_.has_use_counter = false;
    return {};
  }
  Result<std::uint64_t> read_use_count(const TpmKeys&, std::uint32_t) override {
    if (fails()) return gone();
    return chip_.uses;
  }
  Status count_use(const TpmKeys&, std::uint32_t) override {
    if (fails()) return gone();
    ++chip_.uses;
    return {};
  }
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override {
    if (fails()) return gone();
    PcrValues out{selection, {}};
    Digest value;
    value.fill(chip_.pcr_byte);
    out.values.assign(selection.size(), value);
    return out;
  }
  Result<EcdsaSignature> sign(const TpmKeys& keys, const Digest& digest) override {
    if (fails()) return gone();
    if (!ours(keys)) return gone();
    return chip_.host.signing.sign(digest);
  }

 private:
  bool fails() { return chip_.calls++ == chip_.fails_at; }
  static Error gone() { return {Code::unavailable, "The TPM is gone; try again.", 0}; }
  bool ours(const TpmKeys& keys) const {
    return keys.storage_parent.public_area.name() == chip_.host.storage_public.name();
  }
  std::vector<ProvisionStep> steps() const {
    return {{"storage parent", 0x81000001, chip_.has_keys},
            {"attestation key", 0x81010f00, chip_.has_keys},
            {"signing key", 0x81000f01, chip_.has_keys},
            {"epoch counter", 0x01800f00, chip_.has_keys},
            {"use counter", 0x01800f10, chip_.has_use_counter}};
  }
  TpmIdentity identity() const {
    const SoftwareHost& host = chip_.host;
    const auto certification = [&](const TpmPublic& key) {
      CertifiedKey certified = host.certify(key);
      return Certification{std::move(certified.attest), certified.signature};
    };
    TpmIdentity out;
    out.ek_public = endorsement_key().marshalled();
    out.attestation_key = host.attestation_public;
    out.storage_parent = host.storage_public;
    out.signing_key = host.signing_public;
    out.storage_parent_certification = certification(host.storage_public);
    out.signing_key_certification = certification(host.signing_public);
    out.epoch_index = 0x01800f00;
    out.epoch = chip_.epoch;
    out.use_index = 0x01800f10;
    out.uses = chip_.uses;
    out.software = chip_.software;
    out.manufacturer = "TEST";
    out.keys = {{0x81000001, host.storage_public},
                {0x81010f00, host.attestation_public},
                {0x81000f01, host.signing_public},
                Bytes{1},
                Bytes{2},
                0x01800f00};
    return out;
  }

  FakeChip& chip_;
};

inline TpmOpener FakeChip::opener() {
  return [this](const State&, const std::string& tcti,
                bool) -> Result<std::unique_ptr<ProvisioningTpm>> {
    opened.push_back(tcti);
    return std::unique_ptr<ProvisioningTpm>(std::make_unique<FakeProvisioningTpm>(*this));
  };
}

}  // namespace ckptseal::test
