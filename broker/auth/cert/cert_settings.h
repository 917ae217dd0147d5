#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/route.h"
#include "broker/auth/cert/certificate.h"
#include "broker/auth/token_rules.h"

namespace curfew::broker::cert {

struct CertConfig {
  bool binding_disabled = false;        // renewals need no certificate
  bool alias_metadata = false;          // the token's metadata is the alias's too
  bool alias_binding_disabled = false;  // a name is the same one's whichever authority says it
};

// By which of its names a certificate is known again.
enum class AliasSource { kCommonName, kDns, kEmail, kUri };

// What a new role says: a token is good only where its certificate is.
inline TokenRules bound_tokens() {
  TokenRules rules;
  rules.bind_certificate = true;
  return rules;
}

// Whose certificates may log in, and what they get. Lists are globs; an empty one allows all.
struct CertRole {
  std::string id;           // another one each time a role of this name is made
  std::string certificate;  // PEM: authorities, or clients' own
  std::string display_name;
  AliasSource alias_source = AliasSource::kCommonName;
  std::vector<std::string> names;  // common name, DNS names and e-mail addresses
  std::vector<std::string> common_names;
  std::vector<std::string> dns_names;
  std::vector<std::string> emails;
  std::vector<std::string> uris;
  std::vector<std::string> organizational_units;
  std::vector<std::string> required_extensions;  // "OID:glob", all of them
  std::vector<std::string> metadata_extensions;  // OIDs
  TokenRules tokens = bound_tokens();
};

// Each takes the members of a write; what is absent stays. kInvalidArgument names the member.
Status apply_fields(const Json& data, CertConfig& config);
Status apply_fields(const Json& data, CertRole& role);

Json to_api(const CertConfig& config);
Json to_api(const CertRole& role);
Json to_stored(const CertRole& role);
Result<CertConfig> config_from_stored(const Json& stored);
Result<CertRole> role_from_stored(const Json& stored);

const char* name_of(AliasSource source);

// Whether the role's lists allow it.
bool allows(const CertRole& role, const CertificatePointer& certificate,
            const CertificateFacts& facts);

// The name that the role knows it by. kInvalidArgument: there is none, or more than one.
Result<std::string> alias_of(const CertRole& role, const CertificateFacts& facts);

std::vector<FieldSpec> config_fields();
std::vector<FieldSpec> role_fields();

}  // namespace curfew::broker::cert
