#include "broker/auth/cert/cert_settings.h"

#include <algorithm>
#include <array>

#include "base/glob.h"
#include "broker/auth/old_names.h"

namespace curfew::broker::cert {
namespace {

constexpr std::size_t kListMax = 1'000;
constexpr std::size_t kDisplayNameBytesMax = 128;
constexpr std::size_t kOidsMax = 32;
// In the order of AliasSource.
constexpr std::array<const char*, 4> kSources = {"common_name", "dns_san", "email_san", "uri_san"};

using Globs = std::vector<std::string>;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

struct ListField {
  const char* name;
  Globs CertRole::*list;
  const char* what;
};
const std::array<ListField, 6>& list_fields() {
  static const std::array<ListField, 6> kFields = {{
      {"allowed_names", &CertRole::names, "Common names, DNS names or e-mail addresses."},
      {"allowed_common_names", &CertRole::common_names, "Common names; '*' stands for anything."},
      {"allowed_dns_sans", &CertRole::dns_names, "DNS names, likewise."},
      {"allowed_email_sans", &CertRole::emails, "E-mail addresses, likewise."},
      {"allowed_uri_sans", &CertRole::uris, "URIs, likewise."},
      {"allowed_organizational_units", &CertRole::organizational_units,
       "Organizational units, likewise."},
  }};
  return kFields;
}

Status take_list(const Fields& fields, const char* name, std::size_t most, Globs& into) {
  ASSIGN_OR_RETURN(auto value, fields.comma_list(name));
  if (value) into = *std::move(value);
  if (into.size() <= most) return ok();
  return invalid("field \"" + std::string(name) + "\": more than " + std::to_string(most) +
                 " values");
}

Status take_extensions(const Fields& fields, CertRole& role) {
  RETURN_IF_ERROR(take_list(fields, "required_extensions", kOidsMax, role.required_extensions));
  for (const std::string& wanted : role.required_extensions) {
    const auto colon = wanted.find(':');
    if (colon == std::string::npos || !is_oid(wanted.substr(0, colon)))
      return invalid("field \"required_extensions\": expected OID:VALUE, such as 2.1.1.1:web*");
  }
  RETURN_IF_ERROR(
      take_list(fields, "allowed_metadata_extensions", kOidsMax, role.metadata_extensions));
  for (const std::string& oid : role.metadata_extensions)
    if (!is_oid(oid))
      return invalid("field \"allowed_metadata_extensions\": expected OIDs, such as 2.1.1.1");
  return ok();
}

Status take_certificate(const Fields& fields, CertRole& role) {
  ASSIGN_OR_RETURN(role.certificate, fields.text_or("certificate", role.certificate));
  if (role.certificate.empty())
    return invalid("field \"certificate\": expected the PEM of an authority, or of a client");
  const auto parsed = certificates_from_pem(role.certificate);
  if (!parsed) return invalid("field \"certificate\": " + parsed.error().message);
  for (const CertificatePointer& one : *parsed) {
    if (is_authority(one) || is_for_clients(one)) continue;
    return invalid(
        "nonCA certificates should have TLS client authentication set as an extended key usage");
  }
  return ok();
}

Status take_alias_source(const Fields& fields, CertRole& role) {
  ASSIGN_OR_RETURN(const std::string source,
                   fields.text_or("alias_name_source", name_of(role.alias_source)));
  const auto* const found = std::find(kSources.begin(), kSources.end(), source);
  if (found == kSources.end())
    return invalid(
        "field \"alias_name_source\": expected common_name, dns_san, email_san or uri_san");
  role.alias_source = static_cast<AliasSource>(found - kSources.begin());
  return ok();
}

Status take_bounds(const Fields& fields, CertRole& role) {
  RETURN_IF_ERROR(take_certificate(fields, role));
  for (const ListField& field : list_fields())
    RETURN_IF_ERROR(take_list(fields, field.name, kListMax, role.*field.list));
  RETURN_IF_ERROR(take_extensions(fields, role));
  RETURN_IF_ERROR(take_alias_source(fields, role));
  ASSIGN_OR_RETURN(role.display_name, fields.text_or("display_name", role.display_name));
  if (role.display_name.size() > kDisplayNameBytesMax)
    return invalid("field \"display_name\": longer than 128 bytes");
  return ok();
}

bool any_glob(const Globs& globs, std::string_view text) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return glob_match(glob, text); });
}

bool any_allowed(const Globs& globs, const std::vector<std::string>& texts) {
  return globs.empty() || std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
           return any_glob(globs, text);
         });
}

bool has_extension(const CertificatePointer& certificate, const std::string& wanted) {
  const auto colon = wanted.find(':');
  const auto text = extension_text(certificate, wanted.substr(0, colon));
  return text && glob_match(wanted.substr(colon + 1), *text);
}

}  // namespace

const char* name_of(AliasSource source) {
  return kSources.at(static_cast<std::size_t>(source));
}

Status apply_fields(const Json& data, CertConfig& config) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(config.binding_disabled,
                   fields.boolean_or("disable_binding", config.binding_disabled));
  ASSIGN_OR_RETURN(config.alias_metadata,
                   fields.boolean_or("enable_identity_alias_metadata", config.alias_metadata));
  ASSIGN_OR_RETURN(config.alias_binding_disabled,
                   fields.boolean_or("disable_alias_binding", config.alias_binding_disabled));
  return ok();
}

Status apply_fields(const Json& data, CertRole& role) {
  const Fields fields(data);
  RETURN_IF_ERROR(take_bounds(fields, role));
  ASSIGN_OR_RETURN(const bool ocsp, fields.boolean_or("ocsp_enabled", false));
  if (ocsp)
    return invalid(
        "field \"ocsp_enabled\": OCSP is not supported: keep a revocation list in crls/");
  return broker::apply_fields(with_names_of_today(data, {{"policies", "token_policies"},
                                                         {"ttl", "token_ttl"},
                                                         {"lease", "token_ttl"},
                                                         {"max_ttl", "token_max_ttl"},
                                                         {"period", "token_period"},
                                                         {"bound_cidrs", "token_bound_cidrs"}}),
                              role.tokens);
}

Json to_api(const CertConfig& config) {
  return {{"disable_binding", config.binding_disabled},
          {"enable_identity_alias_metadata", config.alias_metadata},
          {"disable_alias_binding", config.alias_binding_disabled}};
}

Json to_api(const CertRole& role) {
  Json out = {{"certificate", role.certificate},
              {"display_name", role.display_name},
              {"alias_name_source", name_of(role.alias_source)},
              {"required_extensions", role.required_extensions},
              {"allowed_metadata_extensions", role.metadata_extensions},
              {"ocsp_enabled", false}};
  for (const ListField& field : list_fields()) out[field.name] = role.*field.list;
  add_to_api(role.tokens, out);
  return out;
}

Json to_stored(const CertRole& role) {
  Json stored = to_api(role);
  stored["id"] = role.id;
  stored["tokens"] = broker::to_stored(role.tokens);
  return stored;
}

Result<CertConfig> config_from_stored(const Json& stored) {
  CertConfig config;
  RETURN_IF_ERROR(apply_fields(stored, config));
  return config;
}

Result<CertRole> role_from_stored(const Json& stored) {
  CertRole role;
  RETURN_IF_ERROR(take_bounds(Fields(stored), role));
  role.id = stored.at("id").get<std::string>();
  role.tokens = token_rules_from_stored(stored.at("tokens"));
  return role;
}

bool allows(const CertRole& role, const CertificatePointer& certificate,
            const CertificateFacts& facts) {
  std::vector<std::string> names = facts.dns_names;
  names.insert(names.end(), facts.emails.begin(), facts.emails.end());
  names.push_back(facts.common_name);
  return any_allowed(role.names, names) && any_allowed(role.common_names, {facts.common_name}) &&
         any_allowed(role.dns_names, facts.dns_names) && any_allowed(role.emails, facts.emails) &&
         any_allowed(role.uris, facts.uris) &&
         any_allowed(role.organizational_units, facts.organizational_units) &&
         std::all_of(role.required_extensions.begin(), role.required_extensions.end(),
                     [&](const std::string& wanted) { return has_extension(certificate, wanted); });
}

Result<std::string> alias_of(const CertRole& role, const CertificateFacts& facts) {
  std::vector<std::string> names;
  switch (role.alias_source) {
    case AliasSource::kCommonName:
      if (!facts.common_name.empty()) names = {facts.common_name};
      break;
    case AliasSource::kDns: names = facts.dns_names; break;
    case AliasSource::kEmail: names = facts.emails; break;
    case AliasSource::kUri: names = facts.uris; break;
  }
  if (names.size() == 1) return names.front();
  return invalid(std::string("the certificate has no name, or more than one, of the kind that the "
                             "role knows clients by (alias_name_source): ") +
                 name_of(role.alias_source));
}

std::vector<FieldSpec> config_fields() {
  using enum FieldType;
  return {{"disable_binding", kBoolean, "Renewals need no certificate."},
          {"enable_identity_alias_metadata", kBoolean,
           "What the certificate says goes into the alias's metadata."},
          {"disable_alias_binding", kBoolean,
           "A name is the same identity's, whichever authority vouches for it."}};
}

std::vector<FieldSpec> role_fields() {
  using enum FieldType;
  std::vector<FieldSpec> fields = {
      {"certificate", kText, "PEM of authorities, or of clients' own certificates.", true},
      {"alias_name_source", kText, "common_name (default), dns_san, email_san or uri_san."},
      {"required_extensions", kList, "Extensions that must be there: OID:VALUE."},
      {"allowed_metadata_extensions", kList, "Extensions that go into the metadata: OIDs."},
      {"display_name", kText, "Name of the tokens in lookups and in the audit log."}};
  for (const ListField& field : list_fields()) fields.push_back({field.name, kList, field.what});
  for (FieldSpec& field : token_rules_fields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace curfew::broker::cert
