// SPDX-License-Identifier: Apache-2.0
//
// One primary key after the other, each made anew (the same template gives the same key), looked
// for among the persistent handles by its Name, and made persistent if it is not there.
#include "keymgr/tpm2/provision.h"

#include <fmt/format.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "keymgr/tpm2/esys_internal.h"
#include "keymgr/tpm2/esys_signature_internal.h"
#include "keymgr/tpm2/key_templates_internal.h"
#include "keymgr/tpm2/nv_counter.h"
#include "keymgr/tpm2/tpm_inventory.h"
#include "policies/certification.h"

namespace ckptseal {
namespace {

constexpr std::uint32_t handles_per_range = 16;
constexpr TPM2_HANDLE ek_handle = 0x81010001;

struct KeySpec {
  const char* what;
  KeyRole role;
  ESYS_TR hierarchy;
  TPM2_HANDLE first_handle;  // the first of its range
  TPM2B_PUBLIC (*make_template)();
};
const std::array<KeySpec, 3> key_specs = {{
    {"storage parent", KeyRole::storage_parent, ESYS_TR_RH_OWNER, 0x81000001,
     storage_parent_template},
    {"attestation key", KeyRole::attestation_key, ESYS_TR_RH_ENDORSEMENT, 0x81010f00,
     attestation_key_template},
    {"signing key", KeyRole::signing_key, ESYS_TR_RH_OWNER, 0x81000f00, signing_key_template},
}};

struct Primary {
  EsysHandle handle;
  EsysPtr<TPM2B_PUBLIC> area;
};

Result<Primary> create_primary(const EsysContext& context, ESYS_TR hierarchy,
                               const TPM2B_PUBLIC& key_template) {
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  ESYS_TR raw = ESYS_TR_NONE;
  Primary out;
  CKPTSEAL_TRY(context.run(TpmOperation::create_key, [&] {
    return Esys_CreatePrimary(context.get(), hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, &no_auth, &key_template, &no_data, &no_pcrs, &raw,
                              into(out.area), nullptr, nullptr, nullptr);
  }));
  out.handle = EsysHandle::flushed(context, raw);
  return out;
}

struct Place {
  TPM2_HANDLE handle = 0;
  bool exists = false;
};

Result<Place> find_place(const EsysContext& context, TPM2_HANDLE first, const TpmName& name) {
  CKPTSEAL_ASSIGN(const std::vector<TPM2_HANDLE> taken,
                  handles_in(context, first, handles_per_range));
  for (const TPM2_HANDLE handle : taken) {
    CKPTSEAL_ASSIGN(const EsysHandle object, open_persistent(context, handle));
    CKPTSEAL_ASSIGN(const Bytes its_name, name_of(context, object));
    if (same_bytes(its_name, name)) return Place{handle, true};
  }
  for (TPM2_HANDLE handle = first; handle < first + handles_per_range; ++handle) {
    if (std::find(taken.begin(), taken.end(), handle) == taken.end()) return Place{handle, false};
  }
  return Error{Code::unavailable,
               fmt::format("Other software has taken all persistent handles from {:#x} to {:#x} of "
                           "the TPM: free one with tpm2_evictcontrol, and provision again.",
                           first, first + handles_per_range - 1),
               0};
}

Status evict(const EsysContext& context, const EsysHandle& object) {
  ESYS_TR none = ESYS_TR_NONE;
  return context.run(TpmOperation::make_persistent, [&] {
    return Esys_EvictControl(context.get(), ESYS_TR_RH_OWNER, object.get(), ESYS_TR_PASSWORD,
                             ESYS_TR_NONE, ESYS_TR_NONE, object.tpm_handle(), &none);
  });
}

Result<EsysHandle> make_persistent(const EsysContext& context, const EsysHandle& object,
                                   TPM2_HANDLE handle) {
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(TpmOperation::make_persistent, [&] {
    return Esys_EvictControl(context.get(), ESYS_TR_RH_OWNER, object.get(), ESYS_TR_PASSWORD,
                             ESYS_TR_NONE, ESYS_TR_NONE, handle, &raw);
  }));
  return EsysHandle::persistent(context, raw);
}

Result<Certification> certify(const EsysContext& context, const EsysHandle& attestation_key,
                              const EsysHandle& object) {
  const TPM2B_DATA no_qualifying_data{};
  TPMT_SIG_SCHEME scheme{};
  scheme.scheme = TPM2_ALG_NULL;  // the key's own
  EsysPtr<TPM2B_ATTEST> attest;
  EsysPtr<TPMT_SIGNATURE> signature;
  CKPTSEAL_TRY(context.run(TpmOperation::certify, [&] {
    return Esys_Certify(context.get(), object.get(), attestation_key.get(), ESYS_TR_PASSWORD,
                        ESYS_TR_PASSWORD, ESYS_TR_NONE, &no_qualifying_data, &scheme, into(attest),
                        into(signature));
  }));
  Certification out;
  const std::size_t size = std::min<std::size_t>(attest->size, sizeof attest->attestationData);
  out.attest.assign(attest->attestationData, attest->attestationData + size);
  CKPTSEAL_ASSIGN(out.signature, to_ecdsa(*signature));
  return out;
}

Result<Bytes> serialized(const EsysContext& context, const EsysHandle& key) {
  EsysPtr<std::uint8_t> blob;
  std::size_t size = 0;
  CKPTSEAL_TRY(context.check(Esys_TR_Serialize(context.get(), key.get(), into(blob), &size),
                             TpmOperation::read_public));
  return Bytes(blob.get(), blob.get() + size);
}

Result<Bytes> read_ek(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const bool exists, handle_exists(context, ek_handle));
  Bytes out(sizeof(TPMT_PUBLIC));
  EsysPtr<TPM2B_PUBLIC> area;
  if (exists) {
    CKPTSEAL_ASSIGN(const EsysHandle key, open_persistent(context, ek_handle));
    CKPTSEAL_TRY(context.run(TpmOperation::read_public, [&] {
      return Esys_ReadPublic(context.get(), key.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                             into(area), nullptr, nullptr);
    }));
  }
  const bool usable = area != nullptr && area->publicArea.type == TPM2_ALG_RSA &&
                      area->publicArea.parameters.rsaDetail.keyBits == 2048;
  if (!usable) {
    CKPTSEAL_ASSIGN(Primary made,
                    create_primary(context, ESYS_TR_RH_ENDORSEMENT, endorsement_key_template()));
    area = std::move(made.area);
  }
  std::size_t used = 0;
  const TSS2_RC code =
      Tss2_MU_TPMT_PUBLIC_Marshal(&area->publicArea, out.data(), out.size(), &used);
  CKPTSEAL_TRY(context.check(code, TpmOperation::read_public));
  out.resize(used);
  return out;
}

// What one run made, and takes back unless it is told to keep it.
class Provisioning {
 public:
  Provisioning(const EsysContext& context, const ProvisionProgress& progress)
      : context_(context), progress_(progress) {}
  Provisioning(const Provisioning&) = delete;
  Provisioning& operator=(const Provisioning&) = delete;
  ~Provisioning() {
    if (!kept_) take_back();
  }

  Result<TpmIdentity> run();

 private:
  void say(const std::string& step) const {
    if (progress_) progress_(step);
  }
  Result<EsysHandle> place_key(const KeySpec& spec, TpmKey& out);
  Status place_counter(const CounterKind& kind, std::uint32_t& index, std::uint64_t& value);
  Status certify_keys(TpmIdentity& out, const std::array<EsysHandle, 3>& handles);
  void take_back();

  const EsysContext& context_;
  const ProvisionProgress& progress_;
  std::vector<TPM2_HANDLE> made_keys_;
  std::vector<std::pair<const CounterKind*, TPM2_HANDLE>> made_counters_;
  bool kept_ = false;
};

Result<EsysHandle> Provisioning::place_key(const KeySpec& spec, TpmKey& out) {
  say(fmt::format("Making the {}", spec.what));
  CKPTSEAL_ASSIGN(const Primary made,
                  create_primary(context_, spec.hierarchy, spec.make_template()));
  CKPTSEAL_ASSIGN(out.public_area, to_public(*made.area));
  CKPTSEAL_TRY(out.public_area.require(spec.role));
  CKPTSEAL_ASSIGN(const Place place,
                  find_place(context_, spec.first_handle, out.public_area.name()));
  out.handle = place.handle;
  if (place.exists) return open_persistent(context_, place.handle);
  Result<EsysHandle> handle = make_persistent(context_, made.handle, place.handle);
  if (handle.ok()) made_keys_.push_back(place.handle);
  return handle;
}

Status Provisioning::place_counter(const CounterKind& kind, std::uint32_t& index,
                                   std::uint64_t& value) {
  say(fmt::format("Setting up the {}", kind.name));
  CKPTSEAL_ASSIGN(const CounterPlace place, find_counter(context_, kind));
  if (!place.exists) {
    CKPTSEAL_TRY(define_counter(context_, kind, place.index));
    made_counters_.emplace_back(&kind, place.index);
  }
  CKPTSEAL_ASSIGN(value, read_counter(context_, kind, place.index));
  index = place.index;
  return {};
}

Status Provisioning::certify_keys(TpmIdentity& out, const std::array<EsysHandle, 3>& handles) {
  say("Certifying the keys");
  const auto& [storage_parent, attestation_key, signing_key] = handles;
  CKPTSEAL_ASSIGN(out.storage_parent_certification,
                  certify(context_, attestation_key, storage_parent));
  CKPTSEAL_ASSIGN(out.signing_key_certification, certify(context_, attestation_key, signing_key));
  // A TPM that certifies something else would be found out by others only, and much later.
  CKPTSEAL_TRY(verify_certification(out.attestation_key, out.storage_parent,
                                    out.storage_parent_certification.attest,
                                    out.storage_parent_certification.signature));
  return verify_certification(out.attestation_key, out.signing_key,
                              out.signing_key_certification.attest,
                              out.signing_key_certification.signature);
}

Result<TpmIdentity> Provisioning::run() {
  TpmIdentity out;
  say("Reading the endorsement key");
  CKPTSEAL_ASSIGN(const TpmMaker maker, read_maker(context_));
  out.manufacturer = maker.manufacturer;
  out.software = maker.software;
  CKPTSEAL_ASSIGN(out.ek_certificate, read_ek_certificate(context_));
  CKPTSEAL_ASSIGN(out.ek_public, read_ek(context_));

  TpmKeys& keys = out.keys;
  const std::array<TpmKey*, 3> places = {&keys.storage_parent, &keys.attestation_key,
                                         &keys.signing_key};
  std::array<EsysHandle, 3> handles;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    CKPTSEAL_ASSIGN(handles.at(i), place_key(key_specs.at(i), *places.at(i)));
  }
  out.storage_parent = keys.storage_parent.public_area;
  out.attestation_key = keys.attestation_key.public_area;
  out.signing_key = keys.signing_key.public_area;
  CKPTSEAL_TRY(certify_keys(out, handles));
  CKPTSEAL_TRY(place_counter(epoch_counter, out.epoch_index, out.epoch));
  CKPTSEAL_TRY(place_counter(use_counter, out.use_index, out.uses));
  keys.epoch_index = out.epoch_index;
  CKPTSEAL_ASSIGN(keys.storage_parent_blob, serialized(context_, handles[0]));
  CKPTSEAL_ASSIGN(keys.signing_key_blob, serialized(context_, handles[2]));
  CKPTSEAL_ASSIGN(const EsysHandle parent_again,
                  pinned_key(context_, keys.storage_parent_blob, keys.storage_parent));
  CKPTSEAL_ASSIGN(const EsysHandle signing_again,
                  pinned_key(context_, keys.signing_key_blob, keys.signing_key));
  kept_ = true;
  return out;
}

// As far as the TPM still does what it is asked: the error that led here is what is reported.
void Provisioning::take_back() {
  for (const TPM2_HANDLE handle : made_keys_) {
    const Result<EsysHandle> object = open_persistent(context_, handle);
    if (object.ok()) (void)evict(context_, object.value()).ok();
  }
  for (const auto& [kind, index] : made_counters_) {
    (void)undefine_counter(context_, *kind, index, false).ok();
  }
}

Result<std::vector<ProvisionStep>> remove_or_plan(TpmConnection& connection, const TpmKeys& keys,
                                                  bool dry_run) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  std::vector<ProvisionStep> out;
  const std::array<const TpmKey*, 3> ours = {&keys.storage_parent, &keys.attestation_key,
                                             &keys.signing_key};
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const TpmKey& key = *ours.at(i);
    ProvisionStep step{key_specs.at(i).what, key.handle, false};
    CKPTSEAL_ASSIGN(const bool taken, handle_exists(context, key.handle));
    if (taken) {
      CKPTSEAL_ASSIGN(const EsysHandle object, open_persistent(context, key.handle));
      CKPTSEAL_ASSIGN(const Bytes name, name_of(context, object));
      step.exists = same_bytes(name, key.public_area.name());
      if (step.exists && !dry_run) CKPTSEAL_TRY(evict(context, object));
    }
    out.push_back(std::move(step));
  }
  const Result<CounterPlace> uses = find_counter(context, use_counter);  // an error: none is ours
  const std::pair<const CounterKind&, TPM2_HANDLE> counters[] = {
      {epoch_counter, keys.epoch_index},
      {use_counter, uses.ok() ? uses.value().index : use_counter.first_index}};
  for (const auto& [kind, index] : counters) {
    CKPTSEAL_ASSIGN(const bool removed, undefine_counter(context, kind, index, dry_run));
    out.push_back({kind.name, index, removed});
  }
  return out;
}

}  // namespace

Result<TpmIdentity> provision_tpm(TpmConnection& connection, const ProvisionProgress& progress) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  return Provisioning(context, progress).run();
}

Result<std::uint64_t> count_epoch(TpmConnection& connection, std::uint32_t index) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  CKPTSEAL_TRY(increment_counter(context, epoch_counter, index));
  return read_counter(context, epoch_counter, index);
}

Result<std::vector<ProvisionStep>> plan_provision(TpmConnection& connection) {
  CKPTSEAL_ASSIGN(const EsysContext context, EsysContext::make(connection));
  std::vector<ProvisionStep> out;
  for (const KeySpec& spec : key_specs) {
    CKPTSEAL_ASSIGN(const Primary made,
                    create_primary(context, spec.hierarchy, spec.make_template()));
    CKPTSEAL_ASSIGN(const TpmPublic area, to_public(*made.area));
    CKPTSEAL_ASSIGN(const Place place, find_place(context, spec.first_handle, area.name()));
    out.push_back({spec.what, place.handle, place.exists});
  }
  for (const CounterKind* kind : {&epoch_counter, &use_counter}) {
    CKPTSEAL_ASSIGN(const CounterPlace counter, find_counter(context, *kind));
    out.push_back({kind->name, counter.index, counter.exists});
  }
  return out;
}

Status remove_tpm_keys(TpmConnection& connection, const TpmKeys& keys) {
  CKPTSEAL_ASSIGN(const std::vector<ProvisionStep> removed,
                  remove_or_plan(connection, keys, false));
  (void)removed;
  return {};
}

Result<std::vector<ProvisionStep>> plan_removal(TpmConnection& connection, const TpmKeys& keys) {
  return remove_or_plan(connection, keys, true);
}

}  // namespace ckptseal
