#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

namespace curfew {

// Overwrites the characters in a way that the compiler keeps, then clears the string.
void zero(std::string& text);

// A string that must not be seen: a password, a token, a key. It prints as "[redacted]", is
// compared in constant time, and its memory is zeroed when it is moved from, assigned or destroyed.
// The only way to the characters is reveal(), so that every place that looks at one can be found.
class Secret {
 public:
  Secret() = default;
  // A short string's characters stay behind in it when it is moved from.
  explicit Secret(std::string value) : value_(std::move(value)) { zero(value); }
  Secret(const Secret& other) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  // Valid until this object is changed or destroyed.
  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

  bool operator==(const Secret& other) const;

 private:
  std::string value_;
};

std::ostream& operator<<(std::ostream& out, const Secret& secret);

// Takes the same time whatever the contents are; only the lengths may be learned from it.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace curfew
