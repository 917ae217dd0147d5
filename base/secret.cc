#include "base/secret.h"

#include <openssl/crypto.h>

#include <ostream>

namespace curfew {

Secret::Secret(Secret&& other) noexcept {
  value_.swap(other.value_);
  zero(other.value_);
}

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) {
    zero(value_);
    value_ = other.value_;
  }
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    zero(value_);
    value_.swap(other.value_);
    // Of a short string the swap leaves a copy behind.
    zero(other.value_);
  }
  return *this;
}

Secret::~Secret() {
  zero(value_);
}

bool Secret::operator==(const Secret& other) const {
  return constant_time_equal(value_, other.value_);
}

std::ostream& operator<<(std::ostream& out, const Secret&) {
  return out << "[redacted]";
}

void zero(std::string& text) {
  // The whole capacity: an earlier, longer value may still lie behind the current end.
  text.resize(text.capacity());
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace curfew
