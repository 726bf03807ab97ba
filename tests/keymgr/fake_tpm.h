// SPDX-License-Identifier: Apache-2.0
//
// A Tpm without a TPM: it holds secrets by their sealed objects, releases them as its PCRs allow,
// and can fail. Whether a secret was sealed rightly it cannot tell; real TPMs do that in
// sealed_object_swtpm_test.cc.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "keymgr/tpm2/tpm.h"

namespace ckptseal::test {

class FakeTpm : public Tpm {
 public:
  // From now on `object` unseals to `secret`.
  void hold(const SealedObject& object, ByteView secret) {
    held_.emplace_back(object.public_area, Bytes(secret.begin(), secret.end()));
  }
  void set_pcr(unsigned pcr, const Digest& value) { pcrs_[pcr] = value; }
  void set_pcrs(const PcrValues& values) {
    const std::vector<unsigned> indices = values.selection.indices();
    for (std::size_t i = 0; i < indices.size(); ++i) set_pcr(indices[i], values.values[i]);
  }
  void set_signature(const EcdsaSignature& signature) { signature_ = signature; }
  // Every later call fails so; nullopt: none does.
  void fail_with(std::optional<Error> error) { failure_ = std::move(error); }
  void fail_capping_with(std::optional<Error> error) { capping_failure_ = std::move(error); }
  void fail_reading_with(std::optional<Error> error) { reading_failure_ = std::move(error); }

  int unseal_calls = 0;

  Result<Secret> unseal(const SealedObject& object, const PolicyRun& run) override {
    ++unseal_calls;
    if (failure_) return *failure_;
    const auto found = std::find_if(held_.begin(), held_.end(), [&object](const auto& held) {
      return held.first == object.public_area;
    });
    if (found == held_.end()) return Error{Code::integrity, "Not sealed to this TPM.", 0x1df};
    CKPTSEAL_ASSIGN(const ObjectPolicy policy, policy_of(object));
    if (policy.auth_policy != path_digest(as_they_are(run.path))) {
      return Error{Code::policy, "The PCRs are not those of the policy.", 0x99d};
    }
    return Secret::copy_of(found->second);
  }
  Result<EcdsaSignature> sign(const Digest& /*digest*/) override {
    if (failure_) return *failure_;
    return signature_;
  }
  Status cap(unsigned pcr) override {
    if (failure_) return *failure_;
    if (capping_failure_) return *capping_failure_;
    pcrs_[pcr] = Sha256().update(pcrs_[pcr]).update(Digest{1}).finish();
    return {};
  }
  Result<PcrValues> read_pcrs(const PcrSelection& selection) override {
    if (failure_) return *failure_;
    if (reading_failure_) return *reading_failure_;
    return current(selection);
  }

 private:
  // With the values that the PCRs have now. Of approvals, epoch and PIN it knows nothing: they
  // hold.
  PolicyPath as_they_are(PolicyPath path) {
    for (PolicyStep& step : path) {
      auto* term = std::get_if<PcrTerm>(&step);
      if (term != nullptr) term->pcrs = current(term->pcrs.selection);
    }
    return path;
  }
  PcrValues current(const PcrSelection& selection) {
    PcrValues out{selection, {}};
    for (const unsigned pcr : selection.indices()) out.values.push_back(pcrs_[pcr]);
    return out;
  }

  std::vector<std::pair<Bytes, Bytes>> held_;
  std::map<unsigned, Digest> pcrs_;  // zero until set
  EcdsaSignature signature_{};
  std::optional<Error> failure_;
  std::optional<Error> reading_failure_;
  std::optional<Error> capping_failure_;
};

}  // namespace ckptseal::test
