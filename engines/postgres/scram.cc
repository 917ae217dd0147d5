#include "engines/postgres/scram.h"

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/secret.h"

namespace curfew::engines::postgres {

std::string scram_verifier(std::string_view password, std::string_view salt, int iterations) {
  std::string salted = pbkdf2_sha256(password, salt, iterations);
  std::string client_key = hmac_sha256(salted, "Client Key");
  const std::string stored_key = sha256(client_key);
  const std::string server_key = hmac_sha256(salted, "Server Key");
  zero(salted);
  zero(client_key);
  return "SCRAM-SHA-256$" + std::to_string(iterations) + ":" + base64_encode(salt) + "$" +
         base64_encode(stored_key) + ":" + base64_encode(server_key);
}

bool is_plain_password(std::string_view password) {
  return !password.empty() && std::all_of(password.begin(), password.end(),
                                          [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace curfew::engines::postgres
