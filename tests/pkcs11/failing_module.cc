// SPDX-License-Identifier: Apache-2.0
//
// A PKCS #11 module that hands every call on to a real one and fails where the test wants it. The
// environment says how:
//   CKPT_TEST_PKCS11_MODULE  path of the real one
//   CKPT_TEST_PKCS11_LOG     file to which the name of each call is appended
//   CKPT_TEST_PKCS11_NTH     number, from 1, of the call that fails
//   CKPT_TEST_PKCS11_FROM    the same, and all after it, as when the token is pulled out
//   CKPT_TEST_PKCS11_CALL    name of the call that fails each time
//   CKPT_TEST_PKCS11_SLEEP   instead of failing it first sleeps for so many seconds
//   CKPT_TEST_PKCS11_RV      what a call that fails answers (default: CKR_GENERAL_ERROR)
//   CKPT_TEST_PKCS11_NSS     the real one is NSS's, and this is what it wants to be initialized
//   with CKPT_TEST_PKCS11_FLAGS   flags that every token has in addition to its own
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

CK_FUNCTION_LIST* real = nullptr;
CK_FUNCTION_LIST ours;

unsigned long number_in(const char* variable, unsigned long otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 0);
}

void log_call(const char* name) {
  const char* path = std::getenv("CKPT_TEST_PKCS11_LOG");
  if (path == nullptr) return;
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  const std::string line = std::string(name) + "\n";
  if (fd < 0 || write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    std::abort();
  }
  close(fd);
}

bool fails(const char* name) {
  static unsigned long calls = 0;
  ++calls;
  log_call(name);
  if (calls == number_in("CKPT_TEST_PKCS11_NTH", 0)) return true;
  const unsigned long from = number_in("CKPT_TEST_PKCS11_FROM", 0);
  if (from != 0 && calls >= from) return true;
  const char* call = std::getenv("CKPT_TEST_PKCS11_CALL");
  return call != nullptr && std::strcmp(call, name) == 0;
}

CK_RV failure() { return number_in("CKPT_TEST_PKCS11_RV", CKR_GENERAL_ERROR); }

bool slept() {
  const unsigned long seconds = number_in("CKPT_TEST_PKCS11_SLEEP", 0);
  sleep(static_cast<unsigned>(seconds));
  return seconds != 0;
}

template <auto member>
struct Call;

template <typename... Arguments, CK_RV (*CK_FUNCTION_LIST::*member)(Arguments...)>
struct Call<member> {
  static inline const char* name = nullptr;

  static CK_RV run(Arguments... arguments) {
    if (fails(name) && !slept()) return failure();
    return (real->*member)(arguments...);
  }
  static void put(const char* its_name) {
    name = its_name;
    ours.*member = run;
  }
};

// As NSS has it: one member more than the standard.
struct NssArguments {
  void* mutex_functions[4];
  CK_FLAGS flags;
  const char* parameters;
  void* reserved;
};

CK_RV initialize(void* arguments) {
  if (fails("C_Initialize") && !slept()) return failure();
  const char* nss = std::getenv("CKPT_TEST_PKCS11_NSS");
  if (nss == nullptr) return real->C_Initialize(arguments);
  NssArguments for_nss = {{}, CKF_OS_LOCKING_OK, nss, nullptr};
  return real->C_Initialize(&for_nss);
}

CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  if (fails("C_GetTokenInfo")) return failure();
  const CK_RV code = real->C_GetTokenInfo(slot, info);
  if (code == CKR_OK) info->flags |= number_in("CKPT_TEST_PKCS11_FLAGS", 0);
  return code;
}

bool load() {
  if (real != nullptr) return true;
  const char* path = std::getenv("CKPT_TEST_PKCS11_MODULE");
  void* library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  auto* get = reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(dlsym(library, "C_GetFunctionList"));
  if (get == nullptr || get(&real) != CKR_OK) return false;
  ours = *real;
#define CKPTSEAL_CALL(function) Call<&CK_FUNCTION_LIST::function>::put(#function)
  CKPTSEAL_CALL(C_Finalize);
  CKPTSEAL_CALL(C_GetInfo);
  CKPTSEAL_CALL(C_GetSlotList);
  CKPTSEAL_CALL(C_GetSlotInfo);
  CKPTSEAL_CALL(C_GetMechanismInfo);
  CKPTSEAL_CALL(C_OpenSession);
  CKPTSEAL_CALL(C_CloseSession);
  CKPTSEAL_CALL(C_CloseAllSessions);
  CKPTSEAL_CALL(C_Login);
  CKPTSEAL_CALL(C_Logout);
  CKPTSEAL_CALL(C_FindObjectsInit);
  CKPTSEAL_CALL(C_FindObjects);
  CKPTSEAL_CALL(C_FindObjectsFinal);
  CKPTSEAL_CALL(C_GetAttributeValue);
  CKPTSEAL_CALL(C_DeriveKey);
  CKPTSEAL_CALL(C_DestroyObject);
  CKPTSEAL_CALL(C_EncryptInit);
  CKPTSEAL_CALL(C_DecryptInit);
  CKPTSEAL_CALL(C_Decrypt);
  CKPTSEAL_CALL(C_GenerateKeyPair);
  CKPTSEAL_CALL(C_SignInit);
  CKPTSEAL_CALL(C_Sign);
#undef CKPTSEAL_CALL
  ours.C_Initialize = initialize;
  ours.C_GetTokenInfo = token_info;
  return true;
}

}  // namespace

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (!load()) return CKR_GENERAL_ERROR;
  *list = &ours;
  return CKR_OK;
}
