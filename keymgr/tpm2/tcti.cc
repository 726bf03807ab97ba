// SPDX-License-Identifier: Apache-2.0
//
// A TCTI of our own between ESYS and the channel to the TPM (TCG TSS 2.0 TCTI specification): one
// deadline per command, the frame of every answer checked (TPM 2.0 Part 1, "Command/Response
// Structure"), and no second try after a failure.
#include "keymgr/tpm2/tcti.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "keymgr/tpm2/esys_internal.h"

namespace ckptseal {
namespace {

using Transport = TpmConnection::Transport;

constexpr std::uint64_t tcti_magic = 0x636b70747365616cULL;
constexpr std::uint32_t tcti_version = 2;

Transport* transport_of(TSS2_TCTI_CONTEXT* context) {
  return reinterpret_cast<Transport::Face*>(context)->owner;
}

TSS2_RC transmit(TSS2_TCTI_CONTEXT* context, std::size_t size, const std::uint8_t* command) {
  if (context == nullptr || command == nullptr) return TSS2_TCTI_RC_BAD_REFERENCE;
  return transport_of(context)->send({command, size}).ok() ? TSS2_RC_SUCCESS
                                                           : TSS2_TCTI_RC_IO_ERROR;
}

TSS2_RC receive(TSS2_TCTI_CONTEXT* context, std::size_t* size, std::uint8_t* response,
                std::int32_t) {
  if (context == nullptr || size == nullptr) return TSS2_TCTI_RC_BAD_REFERENCE;
  if (response == nullptr || *size < largest_tpm_frame) {  // before anything is taken from the TPM
    *size = largest_tpm_frame;
    return response == nullptr ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  }
  Result<Bytes> answer = transport_of(context)->receive();
  if (!answer.ok()) return TSS2_TCTI_RC_IO_ERROR;
  std::copy(answer.value().begin(), answer.value().end(), response);
  *size = answer.value().size();
  return TSS2_RC_SUCCESS;
}

void finalize(TSS2_TCTI_CONTEXT*) {}  // the connection owns everything

TSS2_RC cancel(TSS2_TCTI_CONTEXT*) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }

TSS2_RC get_poll_handles(TSS2_TCTI_CONTEXT*, TSS2_TCTI_POLL_HANDLE*, std::size_t*) {
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

TSS2_RC set_locality(TSS2_TCTI_CONTEXT*, std::uint8_t) { return TSS2_TCTI_RC_NOT_IMPLEMENTED; }

TSS2_RC make_sticky(TSS2_TCTI_CONTEXT*, TPM2_HANDLE*, std::uint8_t) {
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

Error answered_rubbish(const std::string& name, std::string_view how) {
  return {
      Code::unavailable,
      fmt::format("What answers at {} is not a working TPM 2.0 ({}): check what --tpm names, or "
                  "restart the TPM, and try again.",
                  name, how),
      0};
}

// TPM 2.0 Part 1, "Response Header Structure".
Status check_frame(ByteView answer, const std::string& name) {
  ByteReader reader(answer);
  const std::uint16_t tag = reader.u16();
  const std::uint32_t size = reader.u32();
  const std::uint32_t code = reader.u32();
  if (!reader.ok()) return answered_rubbish(name, "its answer is cut short");
  if (tag != TPM2_ST_NO_SESSIONS && tag != TPM2_ST_SESSIONS) {
    return answered_rubbish(name, "its answer does not start as one");
  }
  if (size != answer.size()) return answered_rubbish(name, "its answer has an impossible length");
  const bool bare = tag == TPM2_ST_NO_SESSIONS && size == tpm_header_size;
  if (code != TPM2_RC_SUCCESS && !bare) {
    return answered_rubbish(name, "its refusal has the wrong form");
  }
  return {};
}

// A hardware TPM looks for the primes of an RSA key for minutes when it is unlucky.
std::chrono::milliseconds patience_for(std::uint32_t command, std::chrono::milliseconds usual) {
  return command == TPM2_CC_CreatePrimary ? usual * 4 : usual;
}

Bytes flush_command(TPM2_HANDLE handle) {
  ByteWriter out;
  out.u16(TPM2_ST_NO_SESSIONS).u32(14).u32(TPM2_CC_FlushContext).u32(handle);
  return out.take();
}

}  // namespace

int milliseconds_left(Deadline deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 24LL * 3600 * 1000));
}

Error tpm_does_not_answer(const std::string& name) {
  return {Code::unavailable,
          fmt::format("The TPM at {} does not answer in time: another program may hold it, or it "
                      "hangs; try again, then restart it.",
                      name),
          ETIMEDOUT};
}

Error tpm_went_away(const std::string& name, int errno_value) {
  if (errno_value == ENOENT || errno_value == ECONNREFUSED) {
    return {Code::unavailable,
            fmt::format("No TPM answers at {}: start it, or name another with --tpm.", name),
            static_cast<std::uint32_t>(errno_value)};
  }
  if (errno_value == EACCES) {
    return {Code::unavailable,
            fmt::format("The TPM at {} may not be used by this user: run as its owner or as root.",
                        name),
            EACCES};
  }
  return {Code::unavailable,
          fmt::format("The TPM at {} went away in the middle of a command: see that it runs, and "
                      "try again.",
                      name),
          static_cast<std::uint32_t>(errno_value)};
}

TpmConnection::Transport::Transport(std::unique_ptr<TpmChannel> way, std::string tcti_name,
                                    std::chrono::milliseconds patience)
    : channel(std::move(way)), name(std::move(tcti_name)), timeout(patience) {
  face.owner = this;
  TSS2_TCTI_CONTEXT_COMMON_V1& v1 = face.common.v1;
  v1.magic = tcti_magic;
  v1.version = tcti_version;
  v1.transmit = ckptseal::transmit;
  v1.receive = ckptseal::receive;
  v1.finalize = finalize;
  v1.cancel = cancel;
  v1.getPollHandles = get_poll_handles;
  v1.setLocality = set_locality;
  face.common.makeSticky = make_sticky;
}

Status TpmConnection::Transport::die(Error error) {
  failure = error;
  return error;
}

Status TpmConnection::Transport::send(ByteView command) {
  if (failure) return *failure;
  ByteReader reader(command);
  reader.view(6);  // tag and size
  commands.push_back(reader.u32());
  deadline = std::chrono::steady_clock::now() + patience_for(commands.back(), timeout);
  if (Status sent = channel->send(command, deadline); !sent.ok()) {
    return die(std::move(sent).error());
  }
  return {};
}

Result<Bytes> TpmConnection::Transport::receive() {
  if (failure) return *failure;
  Result<Bytes> answer = channel->receive(deadline);
  Status good = answer.ok() ? check_frame(answer.value(), name) : Status(answer.error());
  if (good.ok()) return answer;
  CKPTSEAL_TRY(die(std::move(good).error()));
  return answer;
}

void TpmConnection::Transport::flush(TPM2_HANDLE handle) {
  const Bytes command = flush_command(handle);
  if (!failure && send(command).ok()) (void)receive().ok();
  if (!failure || !channel->restartable()) return;
  // A stopped swtpm does what is queued once it goes on, so one that did not answer the first time
  // is told of the other handles, too, but not waited for (its queue takes two connections).
  constexpr std::chrono::milliseconds little_patience{1000};
  const Deadline now = std::chrono::steady_clock::now();
  const Deadline soon = parted ? now : now + std::min(timeout, little_patience);
  parted = !channel->send(command, soon).ok() || !channel->receive(soon).ok();
}

TpmConnection::TpmConnection(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)) {}
TpmConnection::TpmConnection(TpmConnection&&) noexcept = default;
TpmConnection& TpmConnection::operator=(TpmConnection&&) noexcept = default;
TpmConnection::~TpmConnection() = default;

Result<TpmConnection> TpmConnection::open(const std::string& tcti,
                                          std::chrono::milliseconds timeout) {
  const std::string name = tcti.empty() ? "device:/dev/tpmrm0" : tcti;
  const std::size_t colon = std::min(name.find(':'), name.size());
  const std::string scheme = name.substr(0, colon);
  if (scheme != "swtpm" && scheme != "device" && scheme != "tabrmd") {
    return Error{
        Code::usage,
        fmt::format("{} names no TPM: say device:/dev/tpmrm0, swtpm:path=SOCKET or soft.", name),
        0};
  }
  const std::string config = colon < name.size() ? name.substr(colon + 1) : "";
  CKPTSEAL_ASSIGN(std::unique_ptr<TpmChannel> channel,
                  scheme == "swtpm" ? open_swtpm_channel(config, name) : open_loaded_channel(name));
  return over(std::move(channel), name, timeout);
}

TpmConnection TpmConnection::over(std::unique_ptr<TpmChannel> channel, const std::string& name,
                                  std::chrono::milliseconds timeout) {
  return TpmConnection(std::make_unique<Transport>(std::move(channel), name, timeout));
}

const std::vector<std::uint32_t>& TpmConnection::commands() const { return transport_->commands; }
void TpmConnection::forget_commands() { transport_->commands.clear(); }
bool TpmConnection::dead() const { return transport_->failure.has_value(); }

std::string command_name(std::uint32_t code) {
  struct Named {
    std::uint32_t code;
    std::string_view name;
  };
  constexpr Named names[] = {
      {TPM2_CC_Import, "Import"},
      {TPM2_CC_Load, "Load"},
      {TPM2_CC_LoadExternal, "LoadExternal"},
      {TPM2_CC_VerifySignature, "VerifySignature"},
      {TPM2_CC_StartAuthSession, "StartAuthSession"},
      {TPM2_CC_PolicyPCR, "PolicyPCR"},
      {TPM2_CC_PolicyAuthorize, "PolicyAuthorize"},
      {TPM2_CC_PolicyNV, "PolicyNV"},
      {TPM2_CC_PolicyAuthValue, "PolicyAuthValue"},
      {TPM2_CC_PolicyOR, "PolicyOR"},
      {TPM2_CC_Unseal, "Unseal"},
      {TPM2_CC_FlushContext, "FlushContext"},
      {TPM2_CC_PCR_Read, "PCR_Read"},
      {TPM2_CC_PCR_Extend, "PCR_Extend"},
      {TPM2_CC_GetCapability, "GetCapability"},
  };
  for (const Named& named : names) {
    if (named.code == code) return std::string(named.name);
  }
  return fmt::format("{:#x}", code);
}

}  // namespace ckptseal
