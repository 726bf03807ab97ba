// SPDX-License-Identifier: Apache-2.0
//
// The table of TPM codes, from the most special row (code and operation) to the most general.
#include "keymgr/tpm2/return_codes.h"

#include <fmt/format.h>
#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <array>
#include <string>

namespace ckptseal {
namespace {

using Op = TpmOperation;

// TPM 2.0 Part 1, "Response Code Formats": a format-1 code names what it is about.
struct Parts {
  std::uint32_t base = 0;  // the code without that
  enum class About : std::uint8_t { nothing, parameter, handle, session } about = About::nothing;
  unsigned number = 0;
};

Parts split(std::uint32_t code) {
  if ((code & TPM2_RC_FMT1) == 0) return {code, Parts::About::nothing, 0};
  Parts out;
  out.base = TPM2_RC_FMT1 | (code & 0x3f);
  if ((code & TPM2_RC_P) != 0) {
    out.about = Parts::About::parameter;
    out.number = (code >> 8) & 0xf;
  } else {
    out.about = (code & 0x800) != 0 ? Parts::About::session : Parts::About::handle;
    out.number = (code >> 8) & 0x7;
  }
  return out;
}

std::string_view description(Op operation) {
  switch (operation) {
    case Op::connect:
      return "start talking";
    case Op::import:
      return "import the sealed key";
    case Op::load:
      return "load the sealed key";
    case Op::load_context:
      return "load a saved context";
    case Op::start_session:
      return "start a session";
    case Op::policy_pcr:
      return "check the PCRs";
    case Op::policy_or:
      return "check the branches of the policy";
    case Op::policy_authorize:
      return "check the approval";
    case Op::policy_nv:
      return "check the epoch";
    case Op::policy_pin:
      return "ask for the PIN";
    case Op::policy_signed:
      return "check the online approval";
    case Op::verify_ticket:
      return "check a signature";
    case Op::unseal:
      return "release the sealed key";
    case Op::sign:
      return "sign";
    case Op::read_pcrs:
      return "read the PCRs";
    case Op::extend_pcr:
      return "extend a PCR";
    case Op::read_public:
      return "show a key";
    case Op::create_key:
      return "make a key";
    case Op::make_persistent:
      return "keep or remove a key";
    case Op::certify:
      return "certify a key";
    case Op::epoch:
      return "use the epoch counter";
    case Op::count_use:
      return "use the counter of uses";
    case Op::read_certificate:
      return "read its certificate";
    case Op::activate_credential:
      return "open the credential";
    case Op::flush:
      return "let go of an object";
  }
  return "do what was asked";
}

bool sets_up(Op operation) {
  return operation == Op::create_key || operation == Op::make_persistent ||
         operation == Op::epoch || operation == Op::count_use || operation == Op::certify ||
         operation == Op::read_certificate;
}

struct Row {
  std::uint32_t base;
  Code code;
  std::string_view message;
};

// Rows that hold for one operation only.
struct SpecialRow {
  std::uint32_t base;
  Op operation;
  Code code;
  std::string_view message;
};

constexpr std::string_view not_for_this_host =
    "The key was not sealed to this host's TPM, or the file is damaged: open it on the host it was "
    "sealed for, or use another slot or an undamaged copy.";
constexpr std::string_view hierarchy_locked =
    "The TPM is owned: its owner or endorsement hierarchy has an authorization value, so clear it "
    "with tpm2_changeauth or tpm2_clear and provision again.";

constexpr std::array special_rows = {
    SpecialRow{TPM2_RC_INTEGRITY, Op::import, Code::integrity, not_for_this_host},
    SpecialRow{TPM2_RC_INTEGRITY, Op::load, Code::integrity, not_for_this_host},
    SpecialRow{TPM2_RC_INTEGRITY, Op::load_context, Code::unavailable,
               "A saved TPM context is older than the last TPM reset: it has to be built anew, so "
               "try again."},
    SpecialRow{TPM2_RC_VALUE, Op::policy_authorize, Code::policy,
               "No approval covers the present state of this host: ask the authority for a policy "
               "update, or use a recovery slot."},
    SpecialRow{TPM2_RC_VALUE, Op::policy_or, Code::policy,
               "No branch of the policy covers the present state of this host: ask the authority "
               "for a policy update, or use a recovery slot."},
    SpecialRow{TPM2_RC_POLICY, Op::policy_nv, Code::revoked,
               "The epoch of this host has ended since this was sealed or approved, so it is "
               "revoked: have it sealed anew for the host's present record, or use a recovery "
               "slot."},
    SpecialRow{TPM2_RC_SIGNATURE, Op::verify_ticket, Code::integrity,
               "The signature of the approval is bad: it is damaged or tampered with, so fetch it "
               "again from the authority."},
    SpecialRow{TPM2_RC_SIGNATURE, Op::policy_signed, Code::integrity,
               "The online approval is not signed by the key that the policy names, or is for "
               "something else than was asked: see that --approver asks the right authority."},
    SpecialRow{TPM2_RC_FAILURE, Op::activate_credential, Code::untrusted,
               "The credential was made for another TPM's endorsement key: the enrollment is meant "
               "for another host, so enroll this one anew."},
    SpecialRow{
        TPM2_RC_INTEGRITY, Op::activate_credential, Code::untrusted,
        "The credential was made for another key or TPM: the enrollment is meant for another "
        "host, so enroll this one anew."},
    SpecialRow{TPM2_RC_HANDLE, Op::read_certificate, Code::unavailable,
               "The TPM carries no endorsement certificate where one was expected: provision this "
               "host again."},
};

// Rows for all steps of provisioning, where an authorization that fails is a hierarchy's.
constexpr std::array set_up_rows = {
    Row{TPM2_RC_BAD_AUTH, Code::locked, hierarchy_locked},
    Row{TPM2_RC_AUTH_FAIL, Code::locked, hierarchy_locked},
    Row{TPM2_RC_AUTH_UNAVAILABLE, Code::locked, hierarchy_locked},
    Row{TPM2_RC_HIERARCHY, Code::locked,
        "A hierarchy of the TPM is switched off: enable the TPM's storage and endorsement "
        "hierarchies in the firmware settings, then provision again."},
};

constexpr std::array rows = {
    Row{TPM2_RC_POLICY_FAIL, Code::policy,
        "The state of this host is not the one that was approved (its PCRs differ): boot the "
        "approved state, or use a recovery slot."},
    Row{TPM2_RC_TICKET, Code::unavailable,
        "A cached ticket is another TPM's: the cache has to be dropped and the approval verified "
        "again, so try again."},
    Row{TPM2_RC_SIGNATURE, Code::integrity,
        "A signature that the TPM was given is bad: what it covers is damaged or tampered with, so "
        "fetch it again from its source."},
    Row{TPM2_RC_PCR_CHANGED, Code::unavailable,
        "The PCRs kept changing while the key was being released: wait until the host has settled, "
        "and try again."},
    Row{TPM2_RC_POLICY, Code::revoked,
        "The policy is not met any more (its epoch, use or time has passed): the file is revoked, "
        "used up or expired, so ask for a new one."},
    Row{TPM2_RC_AUTH_UNAVAILABLE, Code::revoked,
        "The key may not be released any more: its restore limit is reached, so ask its origin to "
        "seal it anew."},
    Row{TPM2_RC_EXPIRED, Code::revoked,
        "The online approval has expired: try again, and have it given more time if whoever "
        "answers is slow."},
    Row{TPM2_RC_NONCE, Code::revoked,
        "The online approval was given for another try, and each serves once: ask for a new one."},
    Row{TPM2_RC_INTEGRITY, Code::integrity,
        "What the TPM was given is damaged or belongs to another TPM: use an undamaged copy, or "
        "the host it was made for."},
    Row{TPM2_RC_ECC_POINT, Code::integrity,
        "The sealed key is corrupt (its seed is no point on the curve): use an undamaged copy of "
        "the file."},
    Row{TPM2_RC_AUTH_FAIL, Code::policy,
        "The PIN is wrong: too many wrong ones lock the TPM, so check it before the next try."},
    Row{TPM2_RC_LOCKOUT, Code::locked,
        "The TPM is locked after too many wrong PINs: wait until it lets go, or have the authority "
        "reset the lockout."},
    Row{TPM2_RC_BAD_AUTH, Code::integrity,
        "This is not the TPM that was provisioned: it was exchanged or cleared, or something "
        "stands between it and this program; if that is intended, provision again."},
    Row{TPM2_RC_HANDLE, Code::unavailable,
        "A key of ckpt-seal is missing in the TPM: run ckpt-seal provision."},
    Row{TPM2_RC_REFERENCE_H0, Code::unavailable,
        "Another program flushed what this one had loaded: use the TPM's resource manager "
        "(device:/dev/tpmrm0), and try again."},
    Row{TPM2_RC_NV_UNINITIALIZED, Code::unavailable,
        "A counter of ckpt-seal was never written: run ckpt-seal provision again."},
    Row{TPM2_RC_NV_SPACE, Code::unavailable,
        "The TPM's memory for persistent keys is full: remove what is not needed (see "
        "tpm2_getcap handles-persistent), then try again."},
    Row{TPM2_RC_OBJECT_MEMORY, Code::unavailable,
        "The TPM has no room for another key: use its resource manager (device:/dev/tpmrm0), or "
        "flush what a crashed program left (tpm2_flushcontext -t), and try again."},
    Row{TPM2_RC_SESSION_MEMORY, Code::unavailable,
        "The TPM has no room for another session: use its resource manager (device:/dev/tpmrm0), "
        "or flush what a crashed program left (tpm2_flushcontext -l), and try again."},
    Row{TPM2_RC_MEMORY, Code::unavailable,
        "The TPM is out of memory: use its resource manager (device:/dev/tpmrm0), and try again."},
    Row{TPM2_RC_SESSION_HANDLES, Code::unavailable,
        "The TPM has no session handle left: use its resource manager (device:/dev/tpmrm0), or "
        "flush what a crashed program left (tpm2_flushcontext -s), and try again."},
    Row{TPM2_RC_OBJECT_HANDLES, Code::unavailable,
        "The TPM has no object handle left: use its resource manager (device:/dev/tpmrm0), or "
        "flush what a crashed program left (tpm2_flushcontext -t), and try again."},
    Row{TPM2_RC_CONTEXT_GAP, Code::unavailable,
        "The TPM has to refresh its saved sessions: use its resource manager "
        "(device:/dev/tpmrm0), and try again."},
    Row{TPM2_RC_INITIALIZE, Code::unavailable,
        "The TPM was not started (TPM2_Startup): the firmware did not boot it, so reboot, or send "
        "tpm2_startup -c to a software TPM."},
    Row{TPM2_RC_FAILURE, Code::unavailable,
        "The TPM is in failure mode: power the machine off and on, and if it stays so, replace the "
        "TPM and use a recovery slot."},
    Row{TPM2_RC_REBOOT, Code::unavailable, "The TPM asks for a reboot: reboot, and try again."},
    Row{TPM2_RC_UPGRADE, Code::unavailable,
        "The TPM is in the middle of a firmware update: finish that, and try again."},
    Row{TPM2_RC_NV_RATE, Code::unavailable,
        "The TPM limits the rate of writes to spare its memory: wait a minute, and try again."},
    Row{TPM2_RC_NV_UNAVAILABLE, Code::unavailable,
        "The TPM cannot reach its memory at the moment: try again."},
    Row{TPM2_RC_RETRY, Code::unavailable, "The TPM is busy: try again."},
    Row{TPM2_RC_YIELDED, Code::unavailable, "The TPM is busy: try again."},
    Row{TPM2_RC_TESTING, Code::unavailable, "The TPM is testing itself: try again."},
    Row{TPM2_RC_CANCELED, Code::unavailable, "The TPM command was canceled: try again."},
    Row{TPM2_RC_HIERARCHY, Code::unavailable,
        "A hierarchy of the TPM is switched off: enable the TPM's storage hierarchy in the "
        "firmware "
        "settings."},
    Row{TPM2_RC_COMMAND_CODE, Code::unavailable,
        "The TPM lacks a command that is needed: it is not a full TPM 2.0, so update its firmware "
        "or use another."},
    Row{TPM2_RC_CURVE, Code::unavailable,
        "The TPM lacks the curve NIST P-256: it cannot be used, so use another."},
};

template <typename Rows, typename Fits>
const auto* find_row(const Rows& table, Fits fits) {
  const auto at = std::find_if(table.begin(), table.end(), fits);
  return at == table.end() ? nullptr : &*at;
}

Error unknown(std::uint32_t code, const Parts& parts, Op operation) {
  std::string about;
  switch (parts.about) {
    case Parts::About::nothing:
      break;
    case Parts::About::parameter:
      about = fmt::format(", parameter {}", parts.number);
      break;
    case Parts::About::handle:
      about = fmt::format(", handle {}", parts.number);
      break;
    case Parts::About::session:
      about = fmt::format(", session {}", parts.number);
      break;
  }
  return {
      Code::failed,
      fmt::format("The TPM refused to {} (TPM_RC {:#x}{}): look the code up with tpm2_rc_decode "
                  "and see ckpt-seal doctor.",
                  description(operation), parts.base, about),
      code};
}

Error of_tpm(std::uint32_t code, std::uint32_t cause, Op operation) {
  // 0x910 to 0x916, and 0x918 to 0x91e: a handle or session that is referenced is not loaded.
  const std::uint32_t folded =
      code >= TPM2_RC_REFERENCE_H0 && code <= TPM2_RC_REFERENCE_S6 ? TPM2_RC_REFERENCE_H0 : code;
  const Parts parts = split(folded);
  if (const auto* row = find_row(special_rows, [&](const SpecialRow& r) {
        return r.base == parts.base && r.operation == operation;
      })) {
    return {row->code, std::string(row->message), cause};
  }
  const auto same_base = [&](const Row& r) { return r.base == parts.base; };
  if (sets_up(operation)) {
    if (const auto* row = find_row(set_up_rows, same_base)) {
      return {row->code, std::string(row->message), cause};
    }
  }
  if (const auto* row = find_row(rows, same_base)) {
    return {row->code, std::string(row->message), cause};
  }
  // Whatever else is wrong with the sealed object as a whole: its parts are the parameters.
  if ((operation == Op::import || operation == Op::load) &&
      parts.about == Parts::About::parameter) {
    return {Code::integrity, std::string(not_for_this_host), cause};
  }
  Error error = unknown(code, parts, operation);
  error.cause = cause;
  return error;
}

Error of_software(std::uint32_t code, Op operation) {
  switch (code & ~TSS2_RC_LAYER_MASK) {
    case TSS2_BASE_RC_IO_ERROR:
    case TSS2_BASE_RC_NO_CONNECTION:
    case TSS2_BASE_RC_BAD_SEQUENCE:
      return {Code::unavailable,
              "The TPM went away in the middle of a command: see that it runs, and try again.",
              code};
    case TSS2_BASE_RC_RSP_AUTH_FAILED:
      return {Code::integrity,
              "The TPM's answer was altered on its way, or it is not the TPM that was provisioned: "
              "something may stand between it and this program; if the TPM was exchanged on "
              "purpose, provision again.",
              code};
    case TSS2_BASE_RC_MEMORY:
      return {Code::failed, "Memory ran out while talking to the TPM: free some, and try again.",
              code};
    default:
      return {Code::unavailable,
              fmt::format("The TPM's answer cannot be understood while asking it to {}: check what "
                          "--tpm names, restart it, and try again.",
                          description(operation)),
              code};
  }
}

bool from_tpm(std::uint32_t code) {
  switch (code & TSS2_RC_LAYER_MASK) {
    case TSS2_TPM_RC_LAYER:
    case TSS2_RESMGR_RC_LAYER:      // the kernel's resource manager answers for the TPM
    case TSS2_RESMGR_TPM_RC_LAYER:  // and so does tpm2-abrmd
      return true;
    default:
      return false;
  }
}

// The fourth parameter of PolicyAuthorize is the ticket. No other command of ckpt-seal has a fourth
// parameter that the TPM can find wrong so.
constexpr std::uint32_t foreign_ticket = TPM2_RC_VALUE + TPM2_RC_P + TPM2_RC_4;

}  // namespace

Error tpm_error(std::uint32_t code, TpmOperation operation) {
  if (!from_tpm(code)) return of_software(code, operation);
  const std::uint32_t bare = code & ~TSS2_RC_LAYER_MASK;
  if (bare == foreign_ticket && operation == Op::policy_authorize) {
    return of_tpm(TPM2_RC_TICKET, code, operation);
  }
  return of_tpm(bare, code, operation);
}

bool is_pcr_changed(std::uint32_t code) {
  return from_tpm(code) && (code & ~TSS2_RC_LAYER_MASK) == TPM2_RC_PCR_CHANGED;
}

bool is_foreign_ticket(std::uint32_t code) {
  return from_tpm(code) && (code & ~TSS2_RC_LAYER_MASK) == foreign_ticket;
}

bool is_wrong_pin(const Error& error) {
  return error.code == Code::policy && from_tpm(error.cause) &&
         split(error.cause & ~TSS2_RC_LAYER_MASK).base == TPM2_RC_AUTH_FAIL;
}

bool is_nv_rate(std::uint32_t code) {
  return from_tpm(code) && (code & ~TSS2_RC_LAYER_MASK) == TPM2_RC_NV_RATE;
}

}  // namespace ckptseal
