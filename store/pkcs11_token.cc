#include "store/pkcs11_token.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <array>
#include <utility>
#include <vector>

namespace curfew::store {
namespace {

constexpr CK_ULONG kAesKeyBytes = 32;
constexpr CK_ULONG kTagBits = 128;
constexpr std::size_t kTextBytesMax = 4'096;
constexpr std::string_view kAssociated = "curfew seal key";

std::string code_text(CK_RV code) {
  std::array<char, 16> digits{};
  std::size_t length = 0;
  do {
    digits[length++] = "0123456789abcdef"[code & 0xf];
    code >>= 4;
  } while (code != 0 && length < digits.size());
  return "PKCS#11 code 0x" +
         std::string(digits.rend() - static_cast<std::ptrdiff_t>(length), digits.rend());
}

Error explain(CK_RV code, const std::string& doing) {
  const auto needs_change = [&](const std::string& why) {
    return Error{Errc::kPreconditionFailed, doing + ": " + why, code_text(code)};
  };
  switch (code) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return needs_change(
          "the token refuses the PIN. It is not tried again by itself, because a token locks "
          "itself "
          "after a few wrong ones. Correct it in the configuration");
    case CKR_PIN_LOCKED:
      return needs_change(
          "the token has locked itself after wrong PINs. Its security officer must unlock it");
    case CKR_PIN_EXPIRED: return needs_change("the PIN has expired and must be changed");
    case CKR_USER_PIN_NOT_INITIALIZED: return needs_change("the token has no user PIN yet");
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_KEY_SIZE_RANGE:
      return needs_change(
          "the token or the key does not allow this mechanism. Choose another one in the "
          "configuration, or a key that may encrypt and decrypt");
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY: return needs_change("the token is write-protected");
    case CKR_ENCRYPTED_DATA_INVALID:
    case CKR_ENCRYPTED_DATA_LEN_RANGE:
    case CKR_DATA_INVALID:
      return {Errc::kCorrupt,
              doing +
                  ": it was not encrypted by this key of the token, or it was changed. Check "
                  "which key is configured, or restore a backup",
              code_text(code)};
    default:
      return {Errc::kUnavailable, doing + ": the token cannot be used (" + code_text(code) +
                                      "). Check that it is connected and works"};
  }
}

std::string trimmed(const CK_UTF8CHAR* text, std::size_t length) {
  std::string out(reinterpret_cast<const char*>(text), length);
  out.erase(out.find_last_not_of(std::string_view(" \0", 2)) + 1);
  return out;
}

CK_BYTE_PTR bytes_of(const std::string& text) {
  // The interface knows no const; nothing that is handed over so is written to.
  return const_cast<CK_BYTE_PTR>(reinterpret_cast<const CK_BYTE*>(text.data()));
}

CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const std::string& value) {
  return {type, bytes_of(value), value.size()};
}

template <class Number>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, Number& value) {
  return {type, &value, sizeof(value)};
}

}  // namespace

std::optional<Pkcs11Mechanism> pkcs11_mechanism_of(std::string_view name) {
  if (name == "aes-gcm") return Pkcs11Mechanism::kAesGcm;
  if (name == "aes-cbc-pad") return Pkcs11Mechanism::kAesCbcPad;
  return std::nullopt;
}

struct Pkcs11Token::Parts {
  explicit Parts(Pkcs11Options o) : options(std::move(o)) {}

  Status load();
  Result<CK_SLOT_ID> find_slot() const;
  Status open_session(CK_SLOT_ID slot);
  Status log_in(CK_SLOT_ID slot, const Secret& pin);
  Result<std::optional<CK_OBJECT_HANDLE>> find() const;
  Status check_key() const;
  Result<CK_OBJECT_HANDLE> generate() const;
  std::string key_name() const;

  const Pkcs11Options options;
  CK_FUNCTION_LIST_PTR functions = nullptr;
  bool initialized = false;  // by this object
  std::optional<CK_SESSION_HANDLE> session;
  CK_OBJECT_HANDLE key = 0;
};

Status Pkcs11Token::Parts::load() {
  // Never unloaded: modules keep threads and thread-local data.
  void* const library = ::dlopen(options.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto cannot = [&](const std::string& why) {
    return Error{Errc::kPreconditionFailed, "cannot load the PKCS#11 module " + options.library +
                                                ": " + why + ". Check the configured path"};
  };
  if (library == nullptr) {
    const char* const why = ::dlerror();
    return cannot(why == nullptr ? "unknown reason" : why);
  }
  const auto get_functions =
      reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (get_functions == nullptr || get_functions(&functions) != CKR_OK || functions == nullptr)
    return cannot("it is no PKCS#11 module");
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV code = functions->C_Initialize(&arguments);
  if (code == CKR_CRYPTOKI_ALREADY_INITIALIZED) return ok();
  if (code != CKR_OK) return explain(code, "starting the PKCS#11 module");
  initialized = true;
  return ok();
}

Result<CK_SLOT_ID> Pkcs11Token::Parts::find_slot() const {
  CK_ULONG count = 0;
  CK_RV code = functions->C_GetSlotList(CK_TRUE, nullptr, &count);
  std::vector<CK_SLOT_ID> slots(count);
  if (code == CKR_OK) code = functions->C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (code != CKR_OK) return explain(code, "listing the tokens");
  slots.resize(count);
  std::string present;
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (functions->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
    const std::string label = trimmed(info.label, sizeof(info.label));
    if (options.slot ? *options.slot == slot : label == options.token_label) return slot;
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    present +=
        (present.empty() ? "" : ", ") + ("\"" + label + "\"") + " in slot " + std::to_string(slot);
  }
  const std::string wanted = options.slot ? "in slot " + std::to_string(*options.slot)
                                          : "with the label \"" + options.token_label + "\"";
  return Error{Errc::kUnavailable, "there is no token " + wanted +
                                       " (present: " + (present.empty() ? "none" : present) +
                                       "). Check that the HSM is connected, and the configuration"};
}

Status Pkcs11Token::Parts::open_session(CK_SLOT_ID slot) {
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (options.generate_key ? CKF_RW_SESSION : 0);
  CK_SESSION_HANDLE handle = 0;
  const CK_RV code = functions->C_OpenSession(slot, flags, nullptr, nullptr, &handle);
  if (code != CKR_OK) return explain(code, "opening a session with the token");
  session = handle;
  return ok();
}

Status Pkcs11Token::Parts::log_in(CK_SLOT_ID slot, const Secret& pin) {
  const CK_RV code =
      functions->C_Login(*session, CKU_USER, bytes_of(pin.reveal()), pin.reveal().size());
  if (code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN) return ok();
  Error error = explain(code, "logging in to the token");
  CK_TOKEN_INFO info{};
  if (functions->C_GetTokenInfo(slot, &info) == CKR_OK &&
      (info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
    error.message += ". ONE try is left before it locks itself";
  return error;
}

std::string Pkcs11Token::Parts::key_name() const {
  return options.key_label.empty() ? "with the configured id"
                                   : "with the label \"" + options.key_label + "\"";
}

Result<std::optional<CK_OBJECT_HANDLE>> Pkcs11Token::Parts::find() const {
  CK_OBJECT_CLASS wanted_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  std::vector<CK_ATTRIBUTE> wanted = {attribute(CKA_CLASS, wanted_class),
                                      attribute(CKA_KEY_TYPE, type)};
  if (!options.key_label.empty()) wanted.push_back(attribute(CKA_LABEL, options.key_label));
  if (!options.key_id.empty()) wanted.push_back(attribute(CKA_ID, options.key_id));
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  CK_RV code = functions->C_FindObjectsInit(*session, wanted.data(), wanted.size());
  if (code == CKR_OK) {
    code = functions->C_FindObjects(*session, found.data(), found.size(), &count);
    functions->C_FindObjectsFinal(*session);
  }
  if (code != CKR_OK) return explain(code, "looking for the key in the token");
  if (count > 1)
    return Error{Errc::kPreconditionFailed, "the token has several AES keys " + key_name() +
                                                ". Say which one with key_id in the configuration"};
  if (count == 0) return std::optional<CK_OBJECT_HANDLE>{};
  return std::optional<CK_OBJECT_HANDLE>{found[0]};
}

Status Pkcs11Token::Parts::check_key() const {
  CK_BBOOL extractable = CK_TRUE, sensitive = CK_FALSE;
  std::array<CK_ATTRIBUTE, 2> asked = {attribute(CKA_EXTRACTABLE, extractable),
                                       attribute(CKA_SENSITIVE, sensitive)};
  const CK_RV code = functions->C_GetAttributeValue(*session, key, asked.data(), asked.size());
  if (code != CKR_OK) return explain(code, "looking at the key in the token");
  if (extractable == CK_FALSE && sensitive == CK_TRUE) return ok();
  return Error{Errc::kPreconditionFailed,
               "the key " + key_name() +
                   " could be taken out of the token (it is extractable, or not sensitive). Make "
                   "one that cannot"};
}

Result<CK_OBJECT_HANDLE> Pkcs11Token::Parts::generate() const {
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG length = kAesKeyBytes;
  std::vector<CK_ATTRIBUTE> wanted = {
      attribute(CKA_TOKEN, yes),       attribute(CKA_PRIVATE, yes), attribute(CKA_SENSITIVE, yes),
      attribute(CKA_EXTRACTABLE, no),  attribute(CKA_ENCRYPT, yes), attribute(CKA_DECRYPT, yes),
      attribute(CKA_VALUE_LEN, length)};
  if (!options.key_label.empty()) wanted.push_back(attribute(CKA_LABEL, options.key_label));
  if (!options.key_id.empty()) wanted.push_back(attribute(CKA_ID, options.key_id));
  CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made = 0;
  const CK_RV code =
      functions->C_GenerateKey(*session, &mechanism, wanted.data(), wanted.size(), &made);
  if (code != CKR_OK) return explain(code, "making a key in the token");
  return made;
}

Pkcs11Token::Pkcs11Token(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Pkcs11Token::~Pkcs11Token() {
  if (parts_->session) {
    parts_->functions->C_Logout(*parts_->session);
    parts_->functions->C_CloseSession(*parts_->session);
  }
  // So that the next one finds tokens that come and go meanwhile.
  if (parts_->initialized) parts_->functions->C_Finalize(nullptr);
}

Result<std::unique_ptr<Pkcs11Token>> Pkcs11Token::open(const Pkcs11Options& options,
                                                       const Secret& pin) {
  std::unique_ptr<Pkcs11Token> token(new Pkcs11Token(std::make_unique<Parts>(options)));
  RETURN_IF_ERROR(token->parts_->load());
  ASSIGN_OR_RETURN(const CK_SLOT_ID slot, token->parts_->find_slot());
  RETURN_IF_ERROR(token->parts_->open_session(slot));
  RETURN_IF_ERROR(token->parts_->log_in(slot, pin));
  return token;
}

Status Pkcs11Token::find_key(bool may_generate) {
  ASSIGN_OR_RETURN(const auto found, parts_->find());
  if (found) {
    parts_->key = *found;
  } else if (may_generate && parts_->options.generate_key) {
    ASSIGN_OR_RETURN(parts_->key, parts_->generate());
  } else {
    return Error{Errc::kPreconditionFailed,
                 "the token has no AES key " + parts_->key_name() +
                     ". Make it there, or check key_label and key_id in the configuration"};
  }
  return parts_->check_key();
}

namespace {

// The mechanism with its parameters, which refer to `iv`.
class MechanismCall {
 public:
  MechanismCall(Pkcs11Mechanism mechanism, const std::string& iv) : associated_(kAssociated) {
    if (mechanism == Pkcs11Mechanism::kAesCbcPad) {
      call_ = {CKM_AES_CBC_PAD, bytes_of(iv), iv.size()};
      return;
    }
    gcm_.iv_ptr = bytes_of(iv);
    gcm_.iv_len = iv.size();
    gcm_.iv_bits = iv.size() * 8;
    gcm_.aad_ptr = bytes_of(associated_);
    gcm_.aad_len = associated_.size();
    gcm_.tag_bits = kTagBits;
    call_ = {CKM_AES_GCM, &gcm_, sizeof(gcm_)};
  }
  MechanismCall(const MechanismCall&) = delete;
  MechanismCall& operator=(const MechanismCall&) = delete;

  CK_MECHANISM_PTR get() { return &call_; }

 private:
  const std::string associated_;
  CK_GCM_PARAMS gcm_{};
  CK_MECHANISM call_{};
};

}  // namespace

Result<std::string> Pkcs11Token::encrypt(Pkcs11Mechanism mechanism, const std::string& iv,
                                         const Secret& text) const {
  const auto& functions = *parts_->functions;
  MechanismCall call(mechanism, iv);
  std::string out(kTextBytesMax, '\0');
  CK_ULONG length = out.size();
  CK_RV code = functions.C_EncryptInit(*parts_->session, call.get(), parts_->key);
  if (code == CKR_OK)
    code = functions.C_Encrypt(*parts_->session, bytes_of(text.reveal()), text.reveal().size(),
                               bytes_of(out), &length);
  if (code != CKR_OK) return explain(code, "encrypting in the token");
  out.resize(length);
  return out;
}

Result<Secret> Pkcs11Token::decrypt(Pkcs11Mechanism mechanism, const std::string& iv,
                                    const std::string& sealed) const {
  const auto& functions = *parts_->functions;
  MechanismCall call(mechanism, iv);
  std::string out(kTextBytesMax, '\0');
  CK_ULONG length = out.size();
  CK_RV code = functions.C_DecryptInit(*parts_->session, call.get(), parts_->key);
  if (code == CKR_OK) {
    code = functions.C_Decrypt(*parts_->session, bytes_of(sealed), sealed.size(), bytes_of(out),
                               &length);
    // Some modules call a wrong tag a general failure: with the key at hand it is that.
    if (code == CKR_GENERAL_ERROR || code == CKR_FUNCTION_FAILED) code = CKR_ENCRYPTED_DATA_INVALID;
  }
  if (code != CKR_OK) {
    zero(out);
    return explain(code, "decrypting in the token");
  }
  Secret text(out.substr(0, length));
  zero(out);
  return text;
}

bool is_refused_pin(const Error& error) {
  for (const CK_RV code : {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE})
    if (error.detail == code_text(code)) return true;
  return false;
}

}  // namespace curfew::store
