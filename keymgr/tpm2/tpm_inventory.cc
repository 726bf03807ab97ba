// SPDX-License-Identifier: Apache-2.0
//
// TPM2_GetCapability, and reading NV in pieces.
#include "keymgr/tpm2/tpm_inventory.h"

#include <algorithm>

namespace ckptseal {
namespace {

constexpr TPM2_HANDLE ek_certificate_index = 0x01c00002;
constexpr std::size_t largest_certificate = 8192;

Result<EsysPtr<TPMS_CAPABILITY_DATA>> capability(const EsysContext& context, TPM2_CAP what,
                                                 std::uint32_t first, std::uint32_t count) {
  EsysPtr<TPMS_CAPABILITY_DATA> out;
  TPMI_YES_NO more = 0;
  CKPTSEAL_TRY(context.run(TpmOperation::connect, [&] {
    return Esys_GetCapability(context.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, what, first,
                              count, &more, into(out));
  }));
  if (out->capability != what)
    return tpm_error(TSS2_ESYS_RC_MALFORMED_RESPONSE, TpmOperation::connect);
  return out;
}

// nullopt when the TPM does not have the property.
Result<std::optional<std::uint32_t>> property(const EsysContext& context, TPM2_PT which) {
  CKPTSEAL_ASSIGN(const auto data, capability(context, TPM2_CAP_TPM_PROPERTIES, which, 1));
  const TPML_TAGGED_TPM_PROPERTY& list = data->data.tpmProperties;
  if (list.count == 0 || list.tpmProperty[0].property != which) {
    return std::optional<std::uint32_t>();
  }
  return std::optional<std::uint32_t>(list.tpmProperty[0].value);
}

// Four characters in a number, without what cannot be shown.
std::string text_of(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const char c = static_cast<char>(value >> shift & 0xff);
    if (c >= ' ' && c <= '~') out += c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// The length that a DER SEQUENCE with a two-byte length says of itself; 0 for anything else.
std::size_t der_size(ByteView bytes) {
  ByteReader reader(bytes);
  if (reader.u16() != 0x3082) return 0;
  const std::size_t size = std::size_t{4} + reader.u16();
  return reader.ok() && size <= bytes.size() ? size : 0;
}

}  // namespace

Result<std::vector<TPM2_HANDLE>> handles_in(const EsysContext& context, TPM2_HANDLE first,
                                            std::uint32_t count) {
  CKPTSEAL_ASSIGN(const auto data, capability(context, TPM2_CAP_HANDLES, first, count));
  const TPML_HANDLE& list = data->data.handles;
  std::vector<TPM2_HANDLE> out;
  for (std::uint32_t i = 0; i < list.count && i < TPM2_MAX_CAP_HANDLES; ++i) {
    if (list.handle[i] >= first && list.handle[i] - first < count) out.push_back(list.handle[i]);
  }
  return out;
}

Result<bool> handle_exists(const EsysContext& context, TPM2_HANDLE handle) {
  CKPTSEAL_ASSIGN(const std::vector<TPM2_HANDLE> found, handles_in(context, handle, 1));
  return !found.empty();
}

Result<EsysHandle> open_persistent(const EsysContext& context, TPM2_HANDLE handle) {
  ESYS_TR raw = ESYS_TR_NONE;
  CKPTSEAL_TRY(context.run(TpmOperation::read_public, [&] {
    return Esys_TR_FromTPMPublic(context.get(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 &raw);
  }));
  return EsysHandle::persistent(context, raw);
}

Result<Bytes> name_of(const EsysContext& context, const EsysHandle& handle) {
  EsysPtr<TPM2B_NAME> name;
  CKPTSEAL_TRY(context.check(Esys_TR_GetName(context.get(), handle.get(), into(name)),
                             TpmOperation::read_public));
  return Bytes(name->name, name->name + std::min<std::size_t>(name->size, sizeof name->name));
}

Result<TpmMaker> read_maker(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const auto maker, property(context, TPM2_PT_MANUFACTURER));
  CKPTSEAL_ASSIGN(const auto vendor, property(context, TPM2_PT_VENDOR_STRING_1));
  // libtpms, the reference implementation and what is built on them call themselves "SW   TPM" or
  // "xCG fTPM"; IBM, Microsoft and Google sell no other TPM.
  const std::string kind = text_of(vendor.value_or(0));
  return TpmMaker{text_of(maker.value_or(0)), kind == "SW" || kind == "xCG"};
}

Result<TpmLockout> read_lockout(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const auto failures, property(context, TPM2_PT_LOCKOUT_COUNTER));
  CKPTSEAL_ASSIGN(const auto most, property(context, TPM2_PT_MAX_AUTH_FAIL));
  CKPTSEAL_ASSIGN(const auto interval, property(context, TPM2_PT_LOCKOUT_INTERVAL));
  if (!failures || !most || !interval) {
    return tpm_error(TSS2_ESYS_RC_MALFORMED_RESPONSE, TpmOperation::connect);
  }
  return TpmLockout{*failures, *most, *interval};
}

Result<std::size_t> largest_nv_read(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const auto value, property(context, TPM2_PT_NV_BUFFER_MAX));
  return std::clamp<std::size_t>(value.value_or(512), 64, TPM2_MAX_NV_BUFFER_SIZE);
}

Result<Bytes> read_nv(const EsysContext& context, const EsysHandle& index, std::size_t size,
                      TpmOperation operation, ESYS_TR session) {
  CKPTSEAL_ASSIGN(const std::size_t step, largest_nv_read(context));
  Bytes out;
  while (out.size() < size) {
    const auto wanted = static_cast<UINT16>(std::min(step, size - out.size()));
    EsysPtr<TPM2B_MAX_NV_BUFFER> part;
    CKPTSEAL_TRY(context.run(operation, [&] {
      return Esys_NV_Read(context.get(), index.get(), index.get(), session, ESYS_TR_NONE,
                          ESYS_TR_NONE, wanted, static_cast<UINT16>(out.size()), into(part));
    }));
    if (part->size != wanted) return tpm_error(TSS2_ESYS_RC_MALFORMED_RESPONSE, operation);
    out.insert(out.end(), part->buffer, part->buffer + part->size);
  }
  return out;
}

Result<Bytes> read_ek_certificate(const EsysContext& context) {
  CKPTSEAL_ASSIGN(const bool exists, handle_exists(context, ek_certificate_index));
  if (!exists) return Bytes();
  CKPTSEAL_ASSIGN(const EsysHandle index, open_persistent(context, ek_certificate_index));
  EsysPtr<TPM2B_NV_PUBLIC> area;
  EsysPtr<TPM2B_NAME> name;
  CKPTSEAL_TRY(context.run(TpmOperation::read_certificate, [&] {
    return Esys_NV_ReadPublic(context.get(), index.get(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                              into(area), into(name));
  }));
  const std::size_t size = area->nvPublic.dataSize;
  // Nothing that is not readable or readably a certificate is worth failing for: the host can do
  // its work without one, and who asks for one sees that there is none.
  if ((area->nvPublic.attributes & TPMA_NV_WRITTEN) == 0 || size > largest_certificate ||
      (area->nvPublic.attributes & TPMA_NV_AUTHREAD) == 0) {
    return Bytes();
  }
  CKPTSEAL_ASSIGN(Bytes out, read_nv(context, index, size, TpmOperation::read_certificate));
  out.resize(der_size(out));  // makers pad the index
  return out;
}

}  // namespace ckptseal
