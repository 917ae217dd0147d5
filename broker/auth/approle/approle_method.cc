#include "broker/auth/approle/approle_method.h"

#include <fmt/format.h>

#include "broker/auth/approle/app_role_store.h"
#include "broker/token/cidr.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kRoleNameBytesMax = 256;
constexpr std::size_t kTidiedAtOnce = 10'000;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::string trimmed(std::string text) {
  const char* const blanks = " \t\r\n";
  text.erase(text.find_last_not_of(blanks) + 1);
  text.erase(0, text.find_first_not_of(blanks));
  return text;
}

std::string name_of(const BackendCall& call) {
  return lower_case(call.param("role_name"));
}

Error wrong_address(const Request& request, std::string_view by) {
  return invalid(fmt::format("source address \"{}\" unauthorized by CIDR restrictions on the {}",
                             request.remote_address, by));
}

class ApproleMethod final : public AuthMethod {
 public:
  explicit ApproleMethod(AuthServices services)
      : services_(std::move(services)),
        store_(services_.storage, services_.barrier, services_.random, services_.mount_accessor),
        routes_(make_routes()) {}

  std::string_view type() const override { return "approle"; }
  const BackendRoutes& routes() const override { return routes_; }

  Result<std::optional<bool>> exists(const BackendCall& call) const override {
    const auto name = call.params.find("role_name");
    if (name == call.params.end() || !call.request.path.ends_with("/role/" + name->second))
      return std::optional<bool>{};
    ASSIGN_OR_RETURN(const auto role, store_.role(name_of(call)));
    return std::optional<bool>{role.has_value()};
  }

  Result<TokenRules> renew(const Json& renewal, const Request&) const override {
    const auto name = renewal.at("role").get<std::string>();
    ASSIGN_OR_RETURN(const auto role, store_.role(name));
    if (!role || role->uuid != renewal.at("uuid").get<std::string>())
      return invalid(fmt::format("role \"{}\" does not exist during renewal", name));
    return role->rules;
  }

  // No lock-out by default: secret ids cannot be guessed, and role ids are known to many.
  std::string login_name(const BackendCall& call) const override {
    const auto id = Fields(call.request.data).text("role_id");
    return id && *id ? trimmed(**id) : std::string();
  }

  Status tidy() override {
    ASSIGN_OR_RETURN(const std::size_t removed, store_.tidy(services_.clock.wall(), kTidiedAtOnce));
    if (removed > 0)
      services_.log.info("secret ids cleared away", {{"count", std::to_string(removed)}});
    return ok();
  }

 private:
  Status retire(const std::string& role_id) const {
    return services_.retire_login ? services_.retire_login(role_id) : ok();
  }

  // Another role may have an id that this one gives up; whose it was it is no more.
  Status write(const std::string& name, bool may_create,
               const std::function<Status(AppRole&)>& change) {
    std::string before;
    std::string after;
    RETURN_IF_ERROR(store_.write_role(name, may_create, [&](AppRole& role) -> Status {
      before = role.role_id;
      RETURN_IF_ERROR(change(role));
      after = role.role_id;
      return ok();
    }));
    return before == after ? ok() : retire(before);
  }

  // ---- roles

  Result<AppRole> role_of(const BackendCall& call) const {
    ASSIGN_OR_RETURN(auto role, store_.role(name_of(call)));
    if (!role) return invalid(fmt::format("role \"{}\" does not exist", call.param("role_name")));
    return std::move(*role);
  }

  Result<Response> write_role(const BackendCall& call) {
    const std::string name = name_of(call);
    if (name.size() > kRoleNameBytesMax)
      return invalid(fmt::format("role_name is longer than {} bytes", kRoleNameBytesMax));
    RETURN_IF_ERROR(
        write(name, true, [&](AppRole& role) { return apply_fields(call.request.data, role); }));
    return Response{};
  }

  Result<Response> read_role(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto role, store_.role(name_of(call)));
    if (!role) return Error{Errc::kNotFound, ""};
    return Response{.data = to_api(*role)};
  }

  Result<Response> delete_role(const BackendCall& call) {
    const std::string name = name_of(call);
    ASSIGN_OR_RETURN(const auto role, store_.role(name));
    if (!role) return Response{};
    RETURN_IF_ERROR(retire(role->role_id));
    RETURN_IF_ERROR(store_.remove_role(name));
    // A login that was under way may have tied the id again.
    RETURN_IF_ERROR(retire(role->role_id));
    return Response{};
  }

  Result<Response> list_roles(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto names, store_.role_names());
    return Response{.data = {{"keys", names}}};
  }

  Result<Response> read_role_id(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto role, store_.role(name_of(call)));
    if (!role) return Error{Errc::kNotFound, ""};
    return Response{.data = {{"role_id", role->role_id}}};
  }

  Result<Response> write_role_id(const BackendCall& call) {
    ASSIGN_OR_RETURN(const std::string id, required_text(call.request.data, "role_id"));
    return change(call, {{"role_id", id}});
  }

  Result<Response> change(const BackendCall& call, const Json& members) {
    RETURN_IF_ERROR(
        write(name_of(call), false, [&](AppRole& role) { return apply_fields(members, role); }));
    return Response{};
  }

  // ---- single members of a role

  Result<Response> read_member(const BackendCall& call, const RoleMember& member) const {
    ASSIGN_OR_RETURN(const auto role, store_.role(name_of(call)));
    if (!role) return Error{Errc::kNotFound, ""};
    const std::string name(member.member);
    const Json all = to_api(*role);
    Json data = {{name, all.at(name)}};
    if (!member.old_name.empty()) data[std::string(member.old_name)] = all.at(name);
    return Response{.data = std::move(data)};
  }

  Result<Response> write_member(const BackendCall& call, const RoleMember& member) {
    const std::string name(member.member);
    for (const std::string_view given : {member.member, member.old_name}) {
      const auto value = call.request.data.find(given);
      if (value != call.request.data.end() && !value->is_null())
        return change(call, {{name, *value}});
    }
    return invalid("missing " + name);
  }

  Result<Response> unset_member(const BackendCall& call, const RoleMember& member) {
    return change(call, {{std::string(member.member), member.unset}});
  }

  // ---- secret ids

  Result<Response> generate(const BackendCall& call) {
    return add_secret(call, random_uuid(services_.random));
  }

  Result<Response> add_custom(const BackendCall& call) {
    ASSIGN_OR_RETURN(const std::string id, required_text(call.request.data, "secret_id"));
    if (id.size() > kSecretIdBytesMax)
      return invalid(
          fmt::format("field \"secret_id\": at most {} bytes are allowed", kSecretIdBytesMax));
    if (id != trimmed(id))
      return invalid("field \"secret_id\": blanks at its ends are not allowed");
    return add_secret(call, id);
  }

  Result<Response> add_secret(const BackendCall& call, const std::string& id) {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    if (!role.bind_secret_id) return invalid("bind_secret_id is not set on the role");
    ASSIGN_OR_RETURN(SecretId secret, new_secret_id(call.request.data, role, call.now));
    RETURN_IF_ERROR(store_.add_secret(role, id, secret));
    return Response{.data = {{"secret_id", id},
                             {"secret_id_accessor", secret.accessor},
                             {"secret_id_ttl", std::chrono::floor<Seconds>(secret.ttl).count()},
                             {"secret_id_num_uses", secret.uses_left}}};
  }

  Result<Response> list_secrets(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    ASSIGN_OR_RETURN(const auto accessors, store_.accessors(role.uuid));
    return Response{.data = {{"keys", accessors}}};
  }

  Result<Response> look_up(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    ASSIGN_OR_RETURN(const std::string id, required_text(call.request.data, "secret_id"));
    ASSIGN_OR_RETURN(const auto secret, store_.secret(role.uuid, trimmed(id), call.now));
    if (!secret) return Response{};
    return Response{.data = to_api(*secret)};
  }

  Result<Response> destroy(const BackendCall& call) {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    ASSIGN_OR_RETURN(const std::string id, required_text(call.request.data, "secret_id"));
    ASSIGN_OR_RETURN(const auto secret, store_.secret(role.uuid, trimmed(id), call.now));
    if (secret) RETURN_IF_ERROR(store_.remove_secret(role.uuid, *secret));
    return Response{};
  }

  Result<SecretId> by_accessor(const BackendCall& call, const AppRole& role) const {
    ASSIGN_OR_RETURN(const std::string accessor,
                     required_text(call.request.data, "secret_id_accessor"));
    ASSIGN_OR_RETURN(auto secret, store_.secret_by_accessor(role.uuid, accessor, call.now));
    if (!secret)
      return Error{Errc::kNotFound,
                   fmt::format("failed to find accessor entry for secret_id_accessor: \"{}\"",
                               accessor.substr(0, 64))};
    return std::move(*secret);
  }

  Result<Response> look_up_accessor(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    ASSIGN_OR_RETURN(const SecretId secret, by_accessor(call, role));
    return Response{.data = to_api(secret)};
  }

  Result<Response> destroy_accessor(const BackendCall& call) {
    ASSIGN_OR_RETURN(const AppRole role, role_of(call));
    ASSIGN_OR_RETURN(const SecretId secret, by_accessor(call, role));
    RETURN_IF_ERROR(store_.remove_secret(role.uuid, secret));
    return Response{};
  }

  Result<Response> tidy_now(const BackendCall&) {
    RETURN_IF_ERROR(tidy());
    return Response{.status = 202, .warnings = {"The secret ids that are over were cleared away."}};
  }

  // ---- logging in

  Result<Response> login(const BackendCall& call) {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(const std::string role_text, fields.text_or("role_id", ""));
    ASSIGN_OR_RETURN(const std::string secret_text, fields.text_or("secret_id", ""));
    const std::string role_id = trimmed(role_text);
    const std::string secret_id = trimmed(secret_text);
    if (role_id.empty()) return invalid("missing role_id");
    if (role_id.size() > kRoleIdBytesMax || secret_id.size() > kSecretIdBytesMax)
      return invalid("invalid role or secret ID");
    ASSIGN_OR_RETURN(const auto role, store_.role_by_id(role_id));
    const bool known = role && !role->role_id.empty();
    // One answer for an unknown role and for one that asks for more.
    if (secret_id.empty() &&
        !(known && !role->bind_secret_id && check_address(call.request, *role, nullptr)))
      return invalid("missing secret_id");
    if (!role) return invalid("invalid role or secret ID");
    std::optional<SecretId> secret;
    if (role->bind_secret_id) {
      ASSIGN_OR_RETURN(secret,
                       store_.use_secret(*role, secret_id, call.now, [&](const SecretId& found) {
                         return check_address(call.request, *role, &found);
                       }));
    } else if (!check_address(call.request, *role, nullptr)) {
      return invalid("invalid role or secret ID");
    }
    if (!known || (role->bind_secret_id && !secret)) return invalid("invalid role or secret ID");
    Response response;
    response.login = std::make_shared<Login>(login_of(*role, secret ? &*secret : nullptr));
    return response;
  }

  // Before a use is taken: whoever is at the wrong place uses nothing up.
  static Status check_address(const Request& request, const AppRole& role, const SecretId* secret) {
    const auto within = [&](const std::vector<std::string>& cidrs) {
      return cidrs.empty() || in_any_cidr(request.remote_address, cidrs);
    };
    if (secret != nullptr && !within(secret->cidrs)) return wrong_address(request, "secret ID");
    if (!within(role.secret_id_bound_cidrs)) return wrong_address(request, "role");
    // The token would be of no use.
    if (secret != nullptr && !secret->token_cidrs.empty()) {
      if (!within(secret->token_cidrs)) return wrong_address(request, "tokens of the secret ID");
    } else if (!within(role.rules.bound_cidrs)) {
      return wrong_address(request, "tokens of the role");
    }
    return ok();
  }

  static Login login_of(const AppRole& role, const SecretId* secret) {
    Login login{.alias = role.role_id,
                .alias_metadata = {{"role_name", role.name}},
                .display_name = role.name,
                .rules = role.rules,
                .renewal = {{"role", role.name}, {"uuid", role.uuid}}};
    if (secret != nullptr) login.metadata = secret->metadata;
    login.metadata["role_name"] = role.name;
    if (secret != nullptr && !secret->token_cidrs.empty())
      login.rules.bound_cidrs = secret->token_cidrs;
    return login;
  }

  BackendRoutes make_routes();
  void add_role_routes(std::vector<BackendRoutes::Route>& routes);
  void add_secret_routes(std::vector<BackendRoutes::Route>& routes);

  template <class Method>
  BackendHandler to(Method method) {
    return [this, method](const BackendCall& call) { return (this->*method)(call); };
  }
  template <class Method>
  BackendHandler to(Method method, const RoleMember& member) {
    return
        [this, method, &member](const BackendCall& call) { return (this->*method)(call, member); };
  }

  const AuthServices services_;
  AppRoleStore store_;
  const BackendRoutes routes_;
};

std::vector<FieldSpec> role_fields() {
  using enum FieldType;
  std::vector<FieldSpec> fields = token_rules_fields();
  fields.push_back({"role_id", kText, "Its id; made up where none is given."});
  fields.push_back({"bind_secret_id", kBoolean, "Whether a login needs a secret id (default)."});
  fields.push_back({"secret_id_bound_cidrs", kList, "Networks that a login may come from."});
  fields.push_back({"secret_id_num_uses", kInteger, "Uses of a secret id; 0: any number."});
  fields.push_back({"secret_id_ttl", kDuration, "How long a secret id is good; 0: always."});
  return fields;
}

std::vector<FieldSpec> secret_fields() {
  using enum FieldType;
  return {{"metadata", kMap, "Goes to the tokens; an object, or the text of one."},
          {"cidr_list", kList, "Networks that a login may come from; within the role's."},
          {"token_bound_cidrs", kList, "Networks of the tokens; within the role's."},
          {"num_uses", kInteger, "How often it may be used; at most the role's."},
          {"ttl", kDuration, "How long it is good; at most the role's."}};
}

BackendRoutes ApproleMethod::make_routes() {
  using enum Operation;
  using M = ApproleMethod;
  std::vector<BackendRoutes::Route> routes;
  routes.push_back({{.pattern = "login",
                     .summary = "Logs in with a role id and a secret id.",
                     .fields = {{"role_id", FieldType::kText, "Of the role.", true},
                                {"secret_id", FieldType::kText, "Where the role asks for one."}},
                     .unauthenticated = true},
                    {{kUpdate, to(&M::login)}}});
  routes.push_back({{.pattern = "tidy/secret-id", .summary = "Clears away what is over."},
                    {{kUpdate, to(&M::tidy_now)}}});
  add_role_routes(routes);
  add_secret_routes(routes);
  return BackendRoutes(std::move(routes));
}

void ApproleMethod::add_role_routes(std::vector<BackendRoutes::Route>& routes) {
  using enum Operation;
  using M = ApproleMethod;
  routes.push_back(
      {{.pattern = "role", .summary = "Lists the roles."}, {{kList, to(&M::list_roles)}}});
  routes.push_back({{.pattern = "role/{role_name}", .summary = "A role.", .fields = role_fields()},
                    {{kRead, to(&M::read_role)},
                     {kUpdate, to(&M::write_role)},
                     {kDelete, to(&M::delete_role)}}});
  routes.push_back({{.pattern = "role/{role_name}/role-id",
                     .summary = "The id of a role.",
                     .fields = {{"role_id", FieldType::kText, "Another one.", true}}},
                    {{kRead, to(&M::read_role_id)}, {kUpdate, to(&M::write_role_id)}}});
  for (const RoleMember& member : role_members()) {
    std::map<Operation, BackendHandler> handlers = {{kRead, to(&M::read_member, member)}};
    if (!member.unset.is_null()) {
      handlers[kUpdate] = to(&M::write_member, member);
      handlers[kDelete] = to(&M::unset_member, member);
    }
    routes.push_back(
        {{.pattern = "role/{role_name}/" + std::string(member.segment),
          .summary = std::string(member.summary),
          .fields = {{std::string(member.member), FieldType::kAny, std::string(member.summary)}}},
         std::move(handlers)});
  }
}

void ApproleMethod::add_secret_routes(std::vector<BackendRoutes::Route>& routes) {
  using enum Operation;
  using M = ApproleMethod;
  const FieldSpec id{"secret_id", FieldType::kText, "The secret id.", true};
  const FieldSpec accessor{"secret_id_accessor", FieldType::kText, "Its accessor.", true};
  const auto add = [&](std::string path, std::string summary, std::vector<FieldSpec> fields,
                       std::map<Operation, BackendHandler> handlers) {
    routes.push_back({{.pattern = "role/{role_name}/" + std::move(path),
                       .summary = std::move(summary),
                       .fields = std::move(fields)},
                      std::move(handlers)});
  };
  add("secret-id", "Makes a secret id; lists the accessors of them.", secret_fields(),
      {{kUpdate, to(&M::generate)}, {kList, to(&M::list_secrets)}});
  std::vector<FieldSpec> custom = secret_fields();
  custom.push_back(id);
  add("custom-secret-id", "Takes a secret id that the caller has chosen.", std::move(custom),
      {{kUpdate, to(&M::add_custom)}});
  add("secret-id/lookup", "Tells of a secret id.", {id}, {{kUpdate, to(&M::look_up)}});
  add("secret-id/destroy", "Removes a secret id.", {id},
      {{kUpdate, to(&M::destroy)}, {kDelete, to(&M::destroy)}});
  add("secret-id-accessor/lookup", "Tells of a secret id by its accessor.", {accessor},
      {{kUpdate, to(&M::look_up_accessor)}});
  add("secret-id-accessor/destroy", "Removes a secret id by its accessor.", {accessor},
      {{kUpdate, to(&M::destroy_accessor)}, {kDelete, to(&M::destroy_accessor)}});
}

}  // namespace

Result<std::unique_ptr<AuthMethod>> make_approle(AuthServices services) {
  return std::unique_ptr<AuthMethod>(std::make_unique<ApproleMethod>(std::move(services)));
}

}  // namespace curfew::broker
