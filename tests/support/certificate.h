#pragma once

#include <string>

namespace curfew::test {

// A self-signed certificate for localhost and 127.0.0.1, valid for a day, and its key; both PEM.
struct Certificate {
  std::string certificate, key;
};
Certificate make_certificate();

}  // namespace curfew::test
