#include "broker/auth/password_hasher.h"

#include <sodium.h>

#include <array>
#include <optional>

#include "base/encoding.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kKind = "argon2id";
constexpr std::size_t kHashBytes = 32;
constexpr std::size_t kSaltBytes = crypto_pwhash_argon2id_SALTBYTES;
// What a stored cost may be: nothing that was edited or is of a later version makes us allocate
// more.
constexpr std::int64_t kMemoryKibMax = 1024 * 1024;
constexpr std::int64_t kPassesMax = 64;

struct Parsed {
  HashCost cost;
  std::string salt;
  std::string hash;
};

std::optional<Parsed> parse(const Json& stored) {
  if (!stored.is_object() || stored.value("kind", "") != kKind) return std::nullopt;
  Parsed out;
  out.cost.memory_kib = stored.value("memory_kib", std::int64_t{0});
  out.cost.passes = stored.value("passes", std::int64_t{0});
  const auto salt = base64_decode(stored.value("salt", ""));
  const auto hash = base64_decode(stored.value("hash", ""));
  if (!salt || !hash || salt->size() != kSaltBytes || hash->size() != kHashBytes ||
      out.cost.memory_kib < 8 || out.cost.memory_kib > kMemoryKibMax || out.cost.passes < 1 ||
      out.cost.passes > kPassesMax)
    return std::nullopt;
  out.salt = *salt;
  out.hash = *hash;
  return out;
}

}  // namespace

Result<std::string> PasswordHasher::compute(const HashCost& cost, const std::string& salt,
                                            const Secret& password) const {
  work_ += cost.memory_kib * cost.passes;
  std::array<unsigned char, kHashBytes> out{};
  const std::string& text = password.reveal();
  const int failed = crypto_pwhash_argon2id(out.data(), out.size(), text.data(), text.size(),
                                            reinterpret_cast<const unsigned char*>(salt.data()),
                                            static_cast<unsigned long long>(cost.passes),
                                            static_cast<std::size_t>(cost.memory_kib) * 1024,
                                            crypto_pwhash_argon2id_ALG_ARGON2ID13);
  if (failed != 0)
    return Error{Errc::kOverloaded, "there is not enough memory to check a password; try again"};
  return std::string(out.begin(), out.end());
}

// One of the places to compute at; given back when it goes.
class PasswordHasher::Turn {
 public:
  static Result<std::unique_ptr<Turn>> take(const PasswordHasher& hasher) {
    std::unique_lock lock(hasher.mutex_);
    if (hasher.computing_ >= hasher.options_.at_once) {
      if (hasher.waiting_ >= hasher.options_.waiting_max)
        return Error{Errc::kOverloaded, "too many passwords are being checked; try again"};
      ++hasher.waiting_;
      hasher.turn_ended_.wait(lock, [&] { return hasher.computing_ < hasher.options_.at_once; });
      --hasher.waiting_;
    }
    ++hasher.computing_;
    return std::make_unique<Turn>(hasher);
  }
  explicit Turn(const PasswordHasher& hasher) : hasher_(hasher) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    {
      const std::scoped_lock lock(hasher_.mutex_);
      --hasher_.computing_;
    }
    hasher_.turn_ended_.notify_one();
  }

 private:
  const PasswordHasher& hasher_;
};

PasswordHasher::PasswordHasher(HasherOptions options) : options_(options) {
  // Chooses the fastest code for this processor; may be called any number of times. Where it fails
  // the portable code is used.
  [[maybe_unused]] const int initialized = sodium_init();
}

Result<Json> PasswordHasher::hash(const Secret& password, Random& random) const {
  ASSIGN_OR_RETURN(const auto turn, Turn::take(*this));
  const std::string salt = random_bytes(random, kSaltBytes);
  ASSIGN_OR_RETURN(const std::string hash, compute(options_.cost, salt, password));
  return Json{{"kind", kKind},
              {"memory_kib", options_.cost.memory_kib},
              {"passes", options_.cost.passes},
              {"salt", base64_encode(salt)},
              {"hash", base64_encode(hash)}};
}

Result<bool> PasswordHasher::verify(const Json& stored, const Secret& password) const {
  ASSIGN_OR_RETURN(const auto turn, Turn::take(*this));
  if (stored.is_null()) {
    ASSIGN_OR_RETURN(const std::string ignored,
                     compute(options_.cost, std::string(kSaltBytes, '\0'), password));
    return false;
  }
  const auto parsed = parse(stored);
  if (!parsed)
    return Error{Errc::kCorrupt, "the stored password hash cannot be read: set the password again"};
  ASSIGN_OR_RETURN(const std::string hash, compute(parsed->cost, parsed->salt, password));
  return constant_time_equal(hash, parsed->hash);
}

bool PasswordHasher::is_outdated(const Json& stored) const {
  const auto parsed = parse(stored);
  return !parsed || parsed->cost != options_.cost;
}

}  // namespace curfew::broker
