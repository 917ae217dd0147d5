#include "broker/auth/userpass/userpass_method.h"

#include <fmt/format.h>

#include "broker/auth/old_names.h"
#include "broker/token/cidr.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kFolder = "user/";
constexpr std::size_t kNameBytesMax = 256;
constexpr std::size_t kPasswordBytesMax = 4096;

struct User {
  std::string id;  // another one each time a user of this name is made
  Json hash;
  TokenRules rules;
};

Json to_stored(const User& user) {
  return {{"id", user.id}, {"hash", user.hash}, {"rules", to_stored(user.rules)}};
}

User user_from_stored(const Json& stored) {
  return {stored.at("id").get<std::string>(), stored.at("hash"),
          token_rules_from_stored(stored.at("rules"))};
}

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Error no_login() {
  return invalid("invalid username or password");
}

std::string key_of(const std::string& name) {
  return std::string(kFolder) + name;
}

std::string name_of(const BackendCall& call) {
  return lower_case(call.param("username"));
}

Json today(const Json& data) {
  return with_names_of_today(data, {{"policies", "token_policies"},
                                    {"ttl", "token_ttl"},
                                    {"max_ttl", "token_max_ttl"},
                                    {"bound_cidrs", "token_bound_cidrs"}});
}

// Empty: none was given.
Result<Secret> given_password(const Json& data) {
  ASSIGN_OR_RETURN(std::string text, Fields(data).text_or("password", ""));
  if (text.size() > kPasswordBytesMax)
    return invalid(
        fmt::format("field \"password\": at most {} bytes are allowed", kPasswordBytesMax));
  return Secret(std::move(text));
}

class UserpassMethod final : public AuthMethod {
 public:
  UserpassMethod(AuthServices services, std::shared_ptr<const PasswordHasher> hasher)
      : services_(std::move(services)), hasher_(std::move(hasher)), routes_(make_routes()) {}

  std::string_view type() const override { return "userpass"; }
  const BackendRoutes& routes() const override { return routes_; }

  Result<std::optional<bool>> exists(const BackendCall& call) const override {
    if (!call.params.contains("username") ||
        !call.request.path.ends_with("/users/" + call.param("username")))
      return std::optional<bool>{};
    ASSIGN_OR_RETURN(const auto stored, services_.storage.get(key_of(name_of(call))));
    return std::optional<bool>{stored.has_value()};
  }

  Result<TokenRules> renew(const Json& renewal, const Request&) const override {
    const auto name = renewal.at("user").get<std::string>();
    ASSIGN_OR_RETURN(const auto user, find(name));
    if (!user || user->id != renewal.at("id").get<std::string>())
      return invalid(fmt::format("the user \"{}\" does not exist any more", name));
    if (user->rules.policies != renewal.at("policies").get<std::vector<std::string>>())
      return invalid("policies have changed, not renewing: log in again");
    return user->rules;
  }

  std::string login_name(const BackendCall& call) const override { return name_of(call); }
  bool locks_names() const override { return true; }

 private:
  Result<std::optional<User>> find(const std::string& name) const {
    ASSIGN_OR_RETURN(const auto stored, services_.storage.get(key_of(name)));
    if (!stored) return std::optional<User>{};
    return std::optional{user_from_stored(*stored)};
  }

  Status retire(const std::string& name) const {
    return services_.retire_login ? services_.retire_login(name) : ok();
  }

  // Changes a user in one transaction. kInvalidArgument: there is none.
  Status change(const std::string& name, const std::function<Status(User&)>& change) const {
    return services_.storage.write([&](engines::StorageWriter& writer) -> Status {
      ASSIGN_OR_RETURN(const auto stored, writer.get(key_of(name)));
      if (!stored) return invalid("username does not exist");
      User user = user_from_stored(*stored);
      RETURN_IF_ERROR(change(user));
      return writer.put(key_of(name), to_stored(user));
    });
  }

  Result<Response> write(const BackendCall& call) const {
    const std::string name = name_of(call);
    if (name.size() > kNameBytesMax)
      return invalid(fmt::format("a user's name has at most {} bytes", kNameBytesMax));
    const Json data = today(call.request.data);
    ASSIGN_OR_RETURN(const Secret password, given_password(data));
    if (call.request.data.contains("password_hash"))
      return invalid("\"password_hash\" is not supported: give the password itself");
    Json hash;
    // Outside the transaction: nobody else writes while one is under way.
    if (!password.empty()) {
      ASSIGN_OR_RETURN(hash, hasher_->hash(password, services_.random));
    }
    RETURN_IF_ERROR(services_.storage.write([&](engines::StorageWriter& writer) -> Status {
      ASSIGN_OR_RETURN(const auto stored, writer.get(key_of(name)));
      if (!stored && hash.is_null()) return invalid("missing password");
      User user = stored ? user_from_stored(*stored) : User{random_uuid(services_.random), {}, {}};
      RETURN_IF_ERROR(apply_fields(data, user.rules));
      if (!hash.is_null()) user.hash = hash;
      return writer.put(key_of(name), to_stored(user));
    }));
    return Response{};
  }

  Result<Response> read(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto user, find(name_of(call)));
    if (!user) return Error{Errc::kNotFound, ""};
    Json data = Json::object();
    add_to_api(user->rules, data);
    if (!user->rules.policies.empty()) data["policies"] = data["token_policies"];
    return Response{.data = std::move(data)};
  }

  Result<Response> remove(const BackendCall& call) const {
    const std::string name = name_of(call);
    RETURN_IF_ERROR(retire(name));
    RETURN_IF_ERROR(services_.storage.remove(key_of(name)));
    // A login that was under way may have tied the name again.
    RETURN_IF_ERROR(retire(name));
    return Response{};
  }

  Result<Response> list(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto names, services_.storage.list(kFolder));
    return Response{.data = {{"keys", names}}};
  }

  Result<Response> set_password(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const Secret password, given_password(call.request.data));
    if (password.empty()) return invalid("missing password");
    ASSIGN_OR_RETURN(const Json hash, hasher_->hash(password, services_.random));
    RETURN_IF_ERROR(change(name_of(call), [&](User& user) -> Status {
      user.hash = hash;
      return ok();
    }));
    return Response{};
  }

  Result<Response> set_policies(const BackendCall& call) const {
    const Json data = today(call.request.data);
    if (!data.contains("token_policies")) return invalid("missing token_policies");
    RETURN_IF_ERROR(change(name_of(call), [&](User& user) {
      return apply_fields(Json{{"token_policies", data["token_policies"]}}, user.rules);
    }));
    return Response{};
  }

  Result<Response> login(const BackendCall& call) const {
    const std::string name = name_of(call);
    ASSIGN_OR_RETURN(const Secret password, given_password(call.request.data));
    if (password.empty()) return invalid("missing password");
    ASSIGN_OR_RETURN(const auto user, find(name));
    ASSIGN_OR_RETURN(const bool right, hasher_->verify(user ? user->hash : Json(), password));
    if (!right || !user) return no_login();
    // Who knows the password may know why it does not help.
    if (!user->rules.bound_cidrs.empty() &&
        !in_any_cidr(call.request.remote_address, user->rules.bound_cidrs))
      return Error{Errc::kPermissionDenied,
                   "permission denied: token_bound_cidrs of this user does not hold your address"};
    if (hasher_->is_outdated(user->hash)) raise_cost(name, *user, password);
    Response response;
    response.login = std::make_shared<Login>(
        Login{.alias = name,
              .display_name = name,
              .metadata = {{"username", name}},
              .rules = user->rules,
              .renewal = {{"user", name}, {"id", user->id}, {"policies", user->rules.policies}}});
    return response;
  }

  // The hash costs what passwords cost today from here on. The login does not depend on it.
  void raise_cost(const std::string& name, const User& known, const Secret& password) const {
    auto hash = hasher_->hash(password, services_.random);
    Status done = hash ? ok() : Status(hash.error());
    if (hash) {
      done = change(name, [&](User& user) -> Status {
        if (user.hash == known.hash) user.hash = *hash;  // else the password was changed meanwhile
        return ok();
      });
    }
    if (!done) services_.log.warn("password hash not renewed", {{"error", done.error().message}});
  }

  BackendRoutes make_routes() {
    using enum Operation;
    const auto to = [this](auto method) -> BackendHandler {
      return [this, method](const BackendCall& call) { return (this->*method)(call); };
    };
    const FieldSpec password{"password", FieldType::kText, "The password.", true};
    std::vector<FieldSpec> user_fields = token_rules_fields();
    user_fields.push_back({"password", FieldType::kText, "The password; needed for a new user."});
    std::vector<BackendRoutes::Route> routes;
    routes.push_back({{.pattern = "users", .summary = "Lists the users."},
                      {{kList, to(&UserpassMethod::list)}}});
    routes.push_back({{.pattern = "users/{username@}",
                       .summary = "A user with a password.",
                       .fields = std::move(user_fields)},
                      {{kRead, to(&UserpassMethod::read)},
                       {kUpdate, to(&UserpassMethod::write)},
                       {kDelete, to(&UserpassMethod::remove)}}});
    routes.push_back({{.pattern = "users/{username@}/password",
                       .summary = "Sets another password.",
                       .fields = {password}},
                      {{kUpdate, to(&UserpassMethod::set_password)}}});
    routes.push_back({{.pattern = "users/{username@}/policies",
                       .summary = "Sets the policies.",
                       .fields = {{"token_policies", FieldType::kList, "Policies.", true}}},
                      {{kUpdate, to(&UserpassMethod::set_policies)}}});
    routes.push_back({{.pattern = "login/{username@}",
                       .summary = "Logs in with a password.",
                       .fields = {password},
                       .unauthenticated = true},
                      {{kUpdate, to(&UserpassMethod::login)}}});
    return BackendRoutes(std::move(routes));
  }

  const AuthServices services_;
  const std::shared_ptr<const PasswordHasher> hasher_;
  const BackendRoutes routes_;
};

}  // namespace

Result<std::unique_ptr<AuthMethod>> make_userpass(AuthServices services,
                                                  std::shared_ptr<const PasswordHasher> hasher) {
  return std::unique_ptr<AuthMethod>(
      std::make_unique<UserpassMethod>(std::move(services), std::move(hasher)));
}

}  // namespace curfew::broker
