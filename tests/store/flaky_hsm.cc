// A PKCS#11 module for tests: SoftHSM2, which hangs while the file $SOFTHSM2_CONF.hangs exists, and
// fails to decrypt while $SOFTHSM2_CONF.fails does.
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace {

CK_FUNCTION_LIST_PTR real = nullptr;

bool is_asked_for(const char* ending) {
  const char* const configuration = std::getenv("SOFTHSM2_CONF");
  return configuration != nullptr && std::filesystem::exists(std::string(configuration) + ending);
}

CK_RV list_slots(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count) {
  while (is_asked_for(".hangs")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return real->C_GetSlotList(present, slots, count);
}

CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR sealed, CK_ULONG sealed_bytes,
              CK_BYTE_PTR text, CK_ULONG_PTR text_bytes) {
  const CK_RV code = real->C_Decrypt(session, sealed, sealed_bytes, text, text_bytes);
  return is_asked_for(".fails") ? CKR_GENERAL_ERROR : code;
}

}  // namespace

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  void* const library = ::dlopen(CURFEW_SOFTHSM, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CKR_FUNCTION_FAILED;
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (get == nullptr || get(&real) != CKR_OK) return CKR_FUNCTION_FAILED;
  static CK_FUNCTION_LIST changed;
  changed = *real;
  changed.C_GetSlotList = list_slots;
  changed.C_Decrypt = decrypt;
  *list = &changed;
  return CKR_OK;
}
