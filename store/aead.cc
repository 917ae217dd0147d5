#include "store/aead.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "base/secret.h"

namespace curfew::store {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// Looking the algorithm up and building a context cost more than sealing a row: each thread keeps
// one of each. What it keeps is never a key.
struct Engine {
  std::unique_ptr<EVP_CIPHER, FreeCipher> cipher{EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)};
  std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context{EVP_CIPHER_CTX_new()};
};

EVP_CIPHER_CTX* thread_context(EVP_CIPHER*& cipher) {
  thread_local Engine engine;
  // Only an installation of OpenSSL without AES gets here.
  if (engine.cipher == nullptr || engine.context == nullptr) std::abort();
  cipher = engine.cipher.get();
  return engine.context.get();
}

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// One use of the thread's context; the key schedule is overwritten at its end.
class Use {
 public:
  Use() : context_(thread_context(cipher_)) {}
  ~Use() {
    static constexpr std::array<unsigned char, kAeadKeyBytes> kNoKey{};
    EVP_EncryptInit_ex2(context_, cipher_, kNoKey.data(), kNoKey.data(), nullptr);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  EVP_CIPHER_CTX* context() const { return context_; }
  const EVP_CIPHER* cipher() const { return cipher_; }

 private:
  EVP_CIPHER* cipher_ = nullptr;
  EVP_CIPHER_CTX* context_;
};

// The sizes were checked: what fails now is the library itself.
void require(int code) {
  if (code != 1) std::abort();
}

Error damaged() {
  return {Errc::kCorrupt, "stored data could not be verified"};
}

}  // namespace

Result<std::string> aead_seal(std::string_view key, Random& random, std::string_view associated,
                              std::string_view plaintext) {
  if (key.size() != kAeadKeyBytes) std::abort();
  if (plaintext.size() > kAeadTextBytesMax || associated.size() > kAeadTextBytesMax)
    return Error{Errc::kTooLarge, "a value is too large to be stored (64 MiB at most)"};
  std::string out(kAeadNonceBytes + plaintext.size() + kAeadTagBytes, '\0');
  random.fill(std::as_writable_bytes(std::span(out.data(), kAeadNonceBytes)));
  auto* const start = reinterpret_cast<unsigned char*>(out.data());
  auto* const text = start + kAeadNonceBytes;

  const Use use;
  int length = 0;
  require(EVP_EncryptInit_ex2(use.context(), use.cipher(), bytes(key), start, nullptr));
  require(EVP_EncryptUpdate(use.context(), nullptr, &length, bytes(associated),
                            static_cast<int>(associated.size())));
  require(EVP_EncryptUpdate(use.context(), text, &length, bytes(plaintext),
                            static_cast<int>(plaintext.size())));
  require(EVP_EncryptFinal_ex(use.context(), text + length, &length));
  require(EVP_CIPHER_CTX_ctrl(use.context(), EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes,
                              text + plaintext.size()));
  return out;
}

Result<std::string> aead_open(std::string_view key, std::string_view associated,
                              std::string_view sealed) {
  if (key.size() != kAeadKeyBytes) std::abort();
  if (sealed.size() < kAeadNonceBytes + kAeadTagBytes ||
      sealed.size() > kAeadNonceBytes + kAeadTextBytesMax + kAeadTagBytes ||
      associated.size() > kAeadTextBytesMax)
    return damaged();
  const std::string_view nonce = sealed.substr(0, kAeadNonceBytes);
  const std::string_view text =
      sealed.substr(kAeadNonceBytes, sealed.size() - kAeadNonceBytes - kAeadTagBytes);
  std::string tag(sealed.substr(sealed.size() - kAeadTagBytes));
  std::string out(text.size(), '\0');

  const Use use;
  int length = 0;
  auto* const start = reinterpret_cast<unsigned char*>(out.data());
  require(EVP_DecryptInit_ex2(use.context(), use.cipher(), bytes(key), bytes(nonce), nullptr));
  require(EVP_DecryptUpdate(use.context(), nullptr, &length, bytes(associated),
                            static_cast<int>(associated.size())));
  require(
      EVP_DecryptUpdate(use.context(), start, &length, bytes(text), static_cast<int>(text.size())));
  require(EVP_CIPHER_CTX_ctrl(use.context(), EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, tag.data()));
  if (EVP_DecryptFinal_ex(use.context(), start + length, &length) != 1) {
    zero(out);  // unverified, so nobody's to see
    return damaged();
  }
  return out;
}

}  // namespace curfew::store
