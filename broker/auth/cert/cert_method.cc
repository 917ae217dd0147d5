#include "broker/auth/cert/cert_method.h"

#include <algorithm>

#include "base/digest.h"
#include "base/duration.h"
#include "base/encoding.h"
#include "broker/attribution.h"
#include "broker/token/cidr.h"
#include "broker/token/token_service.h"

namespace curfew::broker::cert {
namespace {

using enum Operation;

constexpr std::string_view kConfigKey = "config";
constexpr std::string_view kRoles = "cert/";
constexpr std::string_view kLists = "crl/";
constexpr std::string_view kNames = "name/";
constexpr std::size_t kChainMax = 10;
constexpr std::size_t kSerialsShown = 10'000;
constexpr Millis kWarningPause = std::chrono::minutes{1};

std::string key_of(std::string_view folder, const std::string& name) {
  return std::string(folder) + name;
}

std::string name_in(const BackendCall& call) {
  return lower_case(call.param("name"));
}

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

// One text for all of it: what is believed here is not for strangers to find out.
Error not_accepted() {
  return invalid("invalid certificate or no client certificate supplied");
}

}  // namespace

CertMethod::CertMethod(AuthServices services)
    : services_(std::move(services)), routes_(make_routes()) {}

Result<std::optional<bool>> CertMethod::exists(const BackendCall& call) const {
  if (!call.params.contains("name")) return std::optional<bool>{};
  const bool is_list = call.request.path.ends_with("/crls/" + call.param("name"));
  ASSIGN_OR_RETURN(const auto stored,
                   services_.storage.get(key_of(is_list ? kLists : kRoles, name_in(call))));
  return std::optional<bool>{stored.has_value()};
}

// ---- settings ---------------------------------------------------------------------------------

Result<CertConfig> CertMethod::config() const {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(kConfigKey));
  if (!stored) return CertConfig{};
  return config_from_stored(*stored);
}

Result<Response> CertMethod::read_config(const BackendCall&) {
  ASSIGN_OR_RETURN(const CertConfig config, this->config());
  return Response{.data = to_api(config)};
}

Result<Response> CertMethod::write_config(const BackendCall& call) {
  RETURN_IF_ERROR(services_.storage.write([&](engines::StorageWriter& writer) -> Status {
    CertConfig config;
    ASSIGN_OR_RETURN(const auto stored, writer.get(kConfigKey));
    if (stored) {
      ASSIGN_OR_RETURN(config, config_from_stored(*stored));
    }
    RETURN_IF_ERROR(apply_fields(call.request.data, config));
    return writer.put(kConfigKey, to_api(config));
  }));
  return Response{};
}

// What roles() keeps is forgotten after the change, and what is being read meanwhile is not kept.
Status CertMethod::change(const std::function<Status(engines::StorageWriter&)>& writer) {
  const Status changed = services_.storage.write(writer);
  const std::scoped_lock lock(mutex_);
  ++changes_;
  roles_ = nullptr;
  return changed;
}

Result<Response> CertMethod::read_role(const BackendCall& call) {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(key_of(kRoles, name_in(call))));
  if (!stored) return Error{Errc::kNotFound, ""};
  ASSIGN_OR_RETURN(const CertRole role, role_from_stored(*stored));
  return Response{.data = to_api(role)};
}

Result<Response> CertMethod::write_role(const BackendCall& call) {
  const std::string name = name_in(call);
  RETURN_IF_ERROR(change([&](engines::StorageWriter& writer) -> Status {
    CertRole role;
    ASSIGN_OR_RETURN(const auto stored, writer.get(key_of(kRoles, name)));
    if (stored) {
      ASSIGN_OR_RETURN(role, role_from_stored(*stored));
    } else {
      role.id = random_uuid(services_.random);
    }
    RETURN_IF_ERROR(apply_fields(call.request.data, role));
    if (role.display_name.empty()) role.display_name = name;
    return writer.put(key_of(kRoles, name), to_stored(role));
  }));
  return Response{};
}

Result<Response> CertMethod::delete_role(const BackendCall& call) {
  RETURN_IF_ERROR(change([&](engines::StorageWriter& writer) {
    return writer.remove(key_of(kRoles, name_in(call)));
  }));
  return Response{};
}

Result<Response> CertMethod::list_roles(const BackendCall&) {
  ASSIGN_OR_RETURN(auto names, services_.storage.list(kRoles));
  return Response{.data = {{"keys", std::move(names)}}};
}

// ---- revocation lists -------------------------------------------------------------------------

Result<Response> CertMethod::read_list(const BackendCall& call) {
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(key_of(kLists, name_in(call))));
  if (!stored) return Error{Errc::kNotFound, ""};
  ASSIGN_OR_RETURN(const CrlPointer list, crl_from_pem(stored->at("crl").get<std::string>()));
  const CrlFacts facts = read_facts(list, kSerialsShown);
  Json serials = Json::object();
  for (const std::string& number : facts.serial_numbers) serials[number] = Json::object();
  Response response{
      .data = {{"cdp", nullptr},
               {"serials", std::move(serials)},
               {"issuer", facts.issuer},
               {"revoked", facts.revoked},
               {"last_update", format_rfc3339(facts.updated)},
               {"next_update",
                facts.next_update ? Json(format_rfc3339(*facts.next_update)) : Json(nullptr)}}};
  if (facts.revoked > facts.serial_numbers.size())
    response.warnings.emplace_back("not all serial numbers are shown: \"revoked\" counts them");
  return response;
}

Result<Response> CertMethod::write_list(const BackendCall& call) {
  const Fields fields(call.request.data);
  ASSIGN_OR_RETURN(const std::string url, fields.text_or("url", ""));
  if (!url.empty())
    return invalid(
        "field \"url\": lists are not fetched: write them to \"crl\" (PEM) before each is out of "
        "date");
  ASSIGN_OR_RETURN(const std::string pem, fields.text_or("crl", ""));
  if (pem.empty()) return invalid("field \"crl\": expected a revocation list in PEM");
  const auto list = crl_from_pem(pem);
  if (!list) return invalid("field \"crl\": " + list.error().message);
  const CrlFacts facts = read_facts(*list, 0);
  if (facts.next_update && *facts.next_update <= call.now)
    return invalid("field \"crl\": the list is out of date since " +
                   format_rfc3339(*facts.next_update) + ": expected the current one");
  RETURN_IF_ERROR(change([&](engines::StorageWriter& writer) {
    return writer.put(key_of(kLists, name_in(call)), {{"crl", pem}});
  }));
  Response response;
  if (!facts.next_update)
    response.warnings.emplace_back(
        "the list does not say until when it is current, and is believed until it is replaced");
  return response;
}

Result<Response> CertMethod::delete_list(const BackendCall& call) {
  RETURN_IF_ERROR(change([&](engines::StorageWriter& writer) {
    return writer.remove(key_of(kLists, name_in(call)));
  }));
  return Response{};
}

Result<Response> CertMethod::list_lists(const BackendCall&) {
  ASSIGN_OR_RETURN(auto names, services_.storage.list(kLists));
  return Response{.data = {{"keys", std::move(names)}}};
}

// ---- what is believed -------------------------------------------------------------------------

Result<CertMethod::Roles> CertMethod::load_roles() const {
  Roles roles;
  RETURN_IF_ERROR(services_.storage.read([&](const engines::StorageReader& reader) -> Status {
    std::vector<RevocationList> lists;
    ASSIGN_OR_RETURN(const auto list_names, reader.list(kLists));
    for (const std::string& name : list_names) {
      ASSIGN_OR_RETURN(const auto stored, reader.get(key_of(kLists, name)));
      if (!stored) continue;
      ASSIGN_OR_RETURN(auto list, crl_from_pem(stored->at("crl").get<std::string>()));
      lists.push_back({name, std::move(list)});
    }
    ASSIGN_OR_RETURN(const auto names, reader.list(kRoles));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(const auto stored, reader.get(key_of(kRoles, name)));
      if (!stored) continue;
      ASSIGN_OR_RETURN(CertRole role, role_from_stored(*stored));
      ASSIGN_OR_RETURN(auto believed, certificates_from_pem(role.certificate));
      roles.push_back(
          {name, std::move(role), std::make_shared<const Trust>(std::move(believed), lists)});
    }
    return ok();
  }));
  return roles;
}

Result<std::shared_ptr<const CertMethod::Roles>> CertMethod::roles() const {
  std::uint64_t changes = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (roles_ != nullptr) return roles_;
    changes = changes_;
  }
  ASSIGN_OR_RETURN(Roles loaded, load_roles());
  auto fresh = std::make_shared<const Roles>(std::move(loaded));
  const std::scoped_lock lock(mutex_);
  if (changes == changes_) roles_ = fresh;
  return fresh;
}

// ---- logins -----------------------------------------------------------------------------------

Result<CertMethod::Shown> CertMethod::shown_by(const Request& request) const {
  const PeerCertificate* peer = request.peer_certificate.get();
  if (peer == nullptr || peer->chain.empty())
    return invalid(
        "client certificate must be supplied: connect over TLS and show one (-client-cert, "
        "-client-key)");
  if (peer->chain.size() > kChainMax) return not_accepted();
  Shown shown;
  for (const std::string& der : peer->chain) {
    auto certificate = certificate_from_der(der);
    if (!certificate) return not_accepted();
    shown.chain.push_back(*std::move(certificate));
  }
  auto facts = read_facts(shown.chain.front());
  if (!facts) {
    services_.log.info("certificate login refused",
                       {{"mount", services_.mount_accessor}, {"reason", facts.error().message}});
    return not_accepted();
  }
  shown.facts = *std::move(facts);
  return shown;
}

Verdict CertMethod::judge(const TrustedRole& role, const Shown& shown,
                          const Request& request) const {
  const WallTime now = services_.clock.wall();
  Verdict verdict = role.trust->verify(shown.chain, now);
  if (!verdict.accepted) return verdict;
  const auto refuse = [&](const char* why) { return Verdict{.reason = why, .is_known = true}; };
  if (verdict.ends - now < Seconds{1}) return refuse("certificate has expired");
  if (!allows(role.role, shown.chain.front(), shown.facts))
    return refuse("the role does not allow its names or extensions");
  const auto& cidrs = role.role.tokens.bound_cidrs;
  if (!cidrs.empty() && !in_any_cidr(request.remote_address, cidrs))
    return refuse("the role does not allow the address");
  return verdict;
}

// The first role, by name, that it fits.
Result<CertMethod::Match> CertMethod::find_match(const Roles& roles, const std::string& name,
                                                 const Shown& shown, const Request& request) const {
  for (const TrustedRole& role : roles) {
    if (!name.empty() && role.name != name) continue;
    Verdict verdict = judge(role, shown, request);
    if (verdict.accepted) return Match{&role, std::move(verdict)};
    log_refusal(role.name, verdict, shown);
  }
  return not_accepted();
}

void CertMethod::log_refusal(const std::string& role, const Verdict& verdict,
                             const Shown& shown) const {
  if (!verdict.stale_list.empty()) return warn_of_stale(verdict.stale_list);
  if (!verdict.is_known) return;  // a stranger, or of another role
  services_.log.info("certificate login refused", {{"mount", services_.mount_accessor},
                                                   {"role", role},
                                                   {"common_name", shown.facts.common_name},
                                                   {"serial_number", shown.facts.serial_number},
                                                   {"reason", verdict.reason}});
}

// Now and then: each login of that authority comes by here.
void CertMethod::warn_of_stale(const std::string& list) const {
  const WallTime now = services_.clock.wall();
  {
    const std::scoped_lock lock(mutex_);
    if (warned_at_ && now - *warned_at_ < kWarningPause) return;
    warned_at_ = now;
  }
  services_.log.warn(
      "a revocation list is out of date: certificates of its issuer are refused until the current "
      "one is written, or the list is deleted",
      {{"mount", services_.mount_accessor}, {"path", "crls/" + list}});
}

// A name belongs to the role, or the authority, that first brought it: another authority that is
// believed for something else cannot make itself a certificate of that name and be that identity.
Status CertMethod::claim_name(const std::string& alias, const Match& match,
                              const CertConfig& config) {
  if (config.alias_binding_disabled) return ok();
  const std::string key = key_of(kNames, hex_encode(sha256(alias)));
  const Json claim = {{"role", match.role->role.id},
                      {"authority", match.verdict.authority},
                      {"source", name_of(match.role->role.alias_source)}};
  ASSIGN_OR_RETURN(const auto seen, services_.storage.get(key));
  if (seen && *seen == claim) return ok();
  return services_.storage.write([&](engines::StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto held, writer.get(key));
    if (!held) return writer.put(key, claim);
    const bool same_role = held->at("role") == claim.at("role");
    const bool same_authority =
        held->at("authority") == claim.at("authority") && held->at("source") == claim.at("source");
    if (same_role) return *held == claim ? ok() : writer.put(key, claim);
    if (same_authority) return ok();
    services_.log.warn("certificate login refused: the name belongs to another authority",
                       {{"mount", services_.mount_accessor},
                        {"role", match.role->name},
                        {"name", clean_text(alias, 256)}});
    return not_accepted();
  });
}

Login CertMethod::login_of(const Match& match, const Shown& shown, const Request& request,
                           const CertConfig& config, std::string alias) const {
  const CertRole& role = match.role->role;
  Login login;
  login.alias = std::move(alias);
  login.display_name = role.display_name;
  login.metadata = {{"cert_name", match.role->name},
                    {"common_name", shown.facts.common_name},
                    {"serial_number", shown.facts.serial_number},
                    {"subject_key_id", shown.facts.subject_key_id},
                    {"authority_key_id", shown.facts.authority_key_id}};
  for (const std::string& oid : role.metadata_extensions) {
    const auto text = extension_text(shown.chain.front(), oid);
    std::string name = oid;
    std::replace(name.begin(), name.end(), '.', '-');
    if (text) login.metadata[name] = *text;
  }
  if (config.alias_metadata) login.alias_metadata = login.metadata;
  login.rules = role.tokens;
  // No token outlives the certificate that it was given for.
  const Millis left = std::chrono::floor<Seconds>(match.verdict.ends - services_.clock.wall());
  Millis& longest = login.rules.explicit_max_ttl;
  longest = longest > Millis{0} ? std::min(longest, left) : left;
  login.renewal = {{"role", match.role->name},
                   {"id", role.id},
                   {"policies", role.tokens.policies},
                   {"certificate", request.peer_certificate->sha256}};
  return login;
}

Result<Response> CertMethod::login(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string name, Fields(call.request.data).text_or("name", ""));
  ASSIGN_OR_RETURN(const Shown shown, shown_by(call.request));
  ASSIGN_OR_RETURN(const CertConfig config, this->config());
  ASSIGN_OR_RETURN(const auto known, roles());
  ASSIGN_OR_RETURN(const Match match, find_match(*known, lower_case(name), shown, call.request));
  ASSIGN_OR_RETURN(std::string alias, alias_of(match.role->role, shown.facts));
  RETURN_IF_ERROR(claim_name(alias, match, config));
  return Response{.login = std::make_shared<Login>(
                      login_of(match, shown, call.request, config, std::move(alias)))};
}

Result<TokenRules> CertMethod::renew(const Json& renewal, const Request& request) const {
  const auto name = renewal.at("role").get<std::string>();
  ASSIGN_OR_RETURN(const auto known, roles());
  const auto role = std::find_if(known->begin(), known->end(), [&](const TrustedRole& one) {
    return one.name == name && one.role.id == renewal.at("id").get<std::string>();
  });
  if (role == known->end())
    return invalid("role \"" + name + "\" does not exist any more; log in again");
  if (role->role.tokens.policies != renewal.at("policies").get<std::vector<std::string>>())
    return invalid("policies have changed, not renewing: log in again");
  ASSIGN_OR_RETURN(const CertConfig config, this->config());
  if (config.binding_disabled) return role->role.tokens;
  ASSIGN_OR_RETURN(const Shown shown, shown_by(request));
  if (request.peer_certificate->sha256 != renewal.at("certificate").get<std::string>())
    return invalid("client identity during renewal not matching client identity used during login");
  const Verdict verdict = judge(*role, shown, request);
  if (verdict.accepted) return role->role.tokens;
  log_refusal(name, verdict, shown);
  return not_accepted();
}

// ---- routes -----------------------------------------------------------------------------------

BackendHandler CertMethod::to(Result<Response> (CertMethod::*method)(const BackendCall&)) {
  return [this, method](const BackendCall& call) { return (this->*method)(call); };
}

BackendRoutes CertMethod::make_routes() {
  std::vector<BackendRoutes::Route> routes;
  const auto add = [&](RouteSpec spec, std::map<Operation, BackendHandler> handlers) {
    routes.push_back({{std::move(spec)}, std::move(handlers)});
  };
  add({.pattern = "config", .summary = "Settings of all logins.", .fields = config_fields()},
      {{kRead, to(&CertMethod::read_config)}, {kUpdate, to(&CertMethod::write_config)}});
  add({.pattern = "certs", .summary = "Lists the roles."}, {{kList, to(&CertMethod::list_roles)}});
  add({.pattern = "certs/{name}",
       .summary = "Whose certificates may log in, and what they get.",
       .fields = role_fields()},
      {{kRead, to(&CertMethod::read_role)},
       {kUpdate, to(&CertMethod::write_role)},
       {kDelete, to(&CertMethod::delete_role)}});
  add({.pattern = "crls", .summary = "Lists the revocation lists."},
      {{kList, to(&CertMethod::list_lists)}});
  add({.pattern = "crls/{name}",
       .summary = "A revocation list. Once it is out of date nobody of its issuer logs in.",
       .fields = {{"crl", FieldType::kText, "The list, PEM.", true},
                  {"url", FieldType::kText, "Not supported."}}},
      {{kRead, to(&CertMethod::read_list)},
       {kUpdate, to(&CertMethod::write_list)},
       {kDelete, to(&CertMethod::delete_list)}});
  add({.pattern = "login",
       .summary = "Logs in with the certificate that the connection shows.",
       .fields = {{"name", FieldType::kText, "The role; else all are tried, by their names."}},
       .unauthenticated = true},
      {{kUpdate, to(&CertMethod::login)}});
  return BackendRoutes(std::move(routes));
}

void add_methods(AuthRegistry& registry) {
  registry.add("cert", [](AuthServices services) -> Result<std::unique_ptr<AuthMethod>> {
    return std::unique_ptr<AuthMethod>(std::make_unique<CertMethod>(std::move(services)));
  });
}

}  // namespace curfew::broker::cert
