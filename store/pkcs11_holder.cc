#include "store/pkcs11_holder.h"

#include <mutex>
#include <optional>
#include <utility>

#include "store/seal_key.h"

namespace curfew::store {
namespace {

constexpr char kFormat = '\x01';
constexpr std::size_t kHeaderBytes = 2;

std::size_t iv_bytes(Pkcs11Mechanism mechanism) {
  return mechanism == Pkcs11Mechanism::kAesGcm ? 12 : 16;
}

class Pkcs11Holder final : public KeyHolder {
 public:
  Pkcs11Holder(Pkcs11Options options, Secret pin, Random& random)
      : options_(std::move(options)), pin_(std::move(pin)), random_(random) {}

  Result<Made> make() override {
    const Pkcs11Mechanism mechanism = pkcs11_mechanism_of(options_.mechanism).value();
    ASSIGN_OR_RETURN(const auto token, open_token());
    RETURN_IF_ERROR(token->find_key(true));
    Made made{Secret(random_bytes(random_, kSealKeyBytes)),
              {kFormat, static_cast<char>(mechanism)}};
    const std::string iv = random_bytes(random_, iv_bytes(mechanism));
    ASSIGN_OR_RETURN(const std::string sealed, token->encrypt(mechanism, iv, made.key));
    made.stored += iv + sealed;
    // What a mechanism that is not as expected would make useless is found now, not at the next
    // start.
    ASSIGN_OR_RETURN(const Secret again, token->decrypt(mechanism, iv, sealed));
    if (again == made.key) return made;
    return Error{Errc::kPreconditionFailed,
                 "the token does not decrypt what it encrypted. Choose another mechanism"};
  }

  Result<Secret> get(const std::string& stored) override {
    const auto mechanism = mechanism_in(stored);
    if (!mechanism || stored.size() < kHeaderBytes + iv_bytes(*mechanism)) return damaged();
    ASSIGN_OR_RETURN(const auto token, open_token());
    RETURN_IF_ERROR(token->find_key(false));
    auto key = token->decrypt(*mechanism, stored.substr(kHeaderBytes, iv_bytes(*mechanism)),
                              stored.substr(kHeaderBytes + iv_bytes(*mechanism)));
    if (!key && key.error().code == Errc::kCorrupt && !works(*token, *mechanism))
      return Error{Errc::kUnavailable,
                   "the token fails: it does not decrypt what it encrypted just now either. Check "
                   "that it works; the store itself is not in doubt",
                   key.error().detail};
    if (key && key->reveal().size() != kSealKeyBytes) return damaged();
    return key;
  }

 private:
  static std::optional<Pkcs11Mechanism> mechanism_in(const std::string& stored) {
    if (stored.size() < kHeaderBytes || stored[0] != kFormat) return std::nullopt;
    for (const Pkcs11Mechanism known : {Pkcs11Mechanism::kAesGcm, Pkcs11Mechanism::kAesCbcPad}) {
      if (stored[1] == static_cast<char>(known)) return known;
    }
    return std::nullopt;
  }
  // Whether the token does what it should with something new.
  bool works(const Pkcs11Token& token, Pkcs11Mechanism mechanism) {
    const Secret text(random_bytes(random_, kSealKeyBytes));
    const std::string iv = random_bytes(random_, iv_bytes(mechanism));
    const auto sealed = token.encrypt(mechanism, iv, text);
    if (!sealed) return false;
    const auto again = token.decrypt(mechanism, iv, *sealed);
    return again && *again == text;
  }
  static Error damaged() {
    return {Errc::kCorrupt,
            "the seal's encrypted key in the database is damaged; the operator must restore a "
            "backup"};
  }
  // A PIN that was refused is not sent again: a token locks itself after a few, and callers who are
  // not known yet can have it asked (sys/unseal, sys/init).
  Result<std::unique_ptr<Pkcs11Token>> open_token() {
    ASSIGN_OR_RETURN(const Secret pin, current_pin());
    const std::scoped_lock lock(mutex_);
    if (refusal_ && pin == refused_) return *refusal_;
    auto token = Pkcs11Token::open(options_, pin);
    if (!token && is_refused_pin(token.error())) {
      refused_ = pin;
      refusal_ = token.error();
    }
    return token;
  }

  // The file is read at each use, so that a corrected one needs no new start.
  Result<Secret> current_pin() const {
    return options_.pin_file.empty() ? Result<Secret>(pin_)
                                     : read_private_file(options_.pin_file, "PIN file");
  }

  const Pkcs11Options options_;
  const Secret pin_;
  Random& random_;
  std::mutex mutex_;  // guards the next
  Secret refused_;
  std::optional<Error> refusal_;
};

}  // namespace

Result<std::unique_ptr<KeyHolder>> make_pkcs11_holder(const Pkcs11Options& options,
                                                      Random& random) {
  const auto missing = [](const std::string& what) {
    return Error{Errc::kPreconditionFailed,
                 "a seal of kind pkcs11 needs " + what + ". Add it to the configuration"};
  };
  // Taken out first: it must not stay there, whatever else is wrong.
  Secret pin = take_environment(kPkcs11PinVariable).value_or(Secret());
  if (!options.pin.empty()) pin = options.pin;
  if (options.library.empty()) return missing("the path of the module (lib)");
  if (!options.slot && options.token_label.empty()) return missing("token_label or slot");
  if (options.key_label.empty() && options.key_id.empty()) return missing("key_label or key_id");
  if (!pkcs11_mechanism_of(options.mechanism)) return missing("a mechanism that is known");
  if (pin.empty() && options.pin_file.empty())
    return missing(std::string("the token's PIN (pin_file, or the environment variable ") +
                   kPkcs11PinVariable + ")");
  Pkcs11Options kept = options;
  kept.pin = Secret();
  return std::unique_ptr<KeyHolder>(
      std::make_unique<Pkcs11Holder>(std::move(kept), std::move(pin), random));
}

}  // namespace curfew::store
