#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "broker/backend.h"
#include "broker/token/token_service.h"
#include "engines/engine.h"

namespace curfew::broker {

// A role as it is stored: another one that is made under its name has another id.
template <class Role>
struct StoredRole : Role {
  std::string uuid;  // empty: of a version that gave none
};

// The roles of one mount of an auth method: reading, writing, removing, listing, and what a token's
// renewal goes by. Names are in lower case. A Role has apply_fields(data, role), to_api(role) and
// to_stored(role) beside it, and a member `tokens` with the rules of its tokens.
//
// Thread-safe: holds nothing.
template <class Role>
class RoleStore {
 public:
  using Parse = Result<Role> (*)(const Json& stored);

  // All outlive this object.
  RoleStore(engines::MountStorage& storage, Random& random, Parse parse)
      : storage_(storage), random_(random), parse_(parse) {}

  Result<std::optional<StoredRole<Role>>> find(const std::string& name) const {
    std::optional<StoredRole<Role>> found;
    if (name.empty()) return found;
    ASSIGN_OR_RETURN(const auto stored, storage_.get(key(name)));
    if (!stored) return found;
    ASSIGN_OR_RETURN(found, decode(*stored));
    return found;
  }

  // Login::renewal of a login by this role.
  static Json renewal(const std::string& name, const StoredRole<Role>& role) {
    return {{"role", name}, {"uuid", role.uuid}};
  }

  // The rules of a token of that login as they are now. kInvalidArgument: the role is gone, or is
  // another one of the same name.
  Result<TokenRules> renewed(const Json& renewal) const {
    const Fields fields(renewal);
    ASSIGN_OR_RETURN(const std::string name, fields.text_or("role", ""));
    ASSIGN_OR_RETURN(const std::string uuid, fields.text_or("uuid", ""));
    ASSIGN_OR_RETURN(const auto found, find(name));
    if (!found || found->uuid != uuid)
      return Error{Errc::kInvalidArgument,
                   "role \"" + name + "\" does not exist any more; log in again"};
    return found->tokens;
  }

  // See Backend::exists.
  Result<std::optional<bool>> exists(const BackendCall& call) const {
    if (!call.params.contains("name")) return std::optional<bool>{};
    ASSIGN_OR_RETURN(const auto found, find(lower_case(call.param("name"))));
    return std::optional<bool>{found.has_value()};
  }

  // "role" and "role/{name}".
  void add_routes(std::string summary, std::vector<FieldSpec> fields,
                  std::vector<BackendRoutes::Route>& routes) {
    using enum Operation;
    routes.push_back({{.pattern = "role", .summary = "Lists the roles."},
                      {{kList, [this](const BackendCall&) { return list(); }}}});
    routes.push_back(
        {{.pattern = "role/{name}", .summary = std::move(summary), .fields = std::move(fields)},
         {{kRead, [this](const BackendCall& call) { return read(call); }},
          {kUpdate, [this](const BackendCall& call) { return write(call); }},
          {kDelete, [this](const BackendCall& call) { return remove(call); }}}});
  }

 private:
  static std::string key(const std::string& name) { return "role/" + name; }

  Result<StoredRole<Role>> decode(const Json& stored) const {
    ASSIGN_OR_RETURN(Role role, parse_(stored));
    ASSIGN_OR_RETURN(std::string uuid, Fields(stored).text_or("uuid", ""));
    return StoredRole<Role>{std::move(role), std::move(uuid)};
  }

  Result<Response> read(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto found, find(lower_case(call.param("name"))));
    if (!found) return Error{Errc::kNotFound, ""};
    return Response{.data = to_api(static_cast<const Role&>(*found))};
  }

  Result<Response> write(const BackendCall& call) {
    const std::string at = key(lower_case(call.param("name")));
    RETURN_IF_ERROR(storage_.write([&](engines::StorageWriter& writer) -> Status {
      StoredRole<Role> role;
      ASSIGN_OR_RETURN(const auto stored, writer.get(at));
      if (stored) {
        ASSIGN_OR_RETURN(role, decode(*stored));
      } else {
        role.uuid = random_uuid(random_);
      }
      RETURN_IF_ERROR(apply_fields(call.request.data, static_cast<Role&>(role)));
      Json written = to_stored(static_cast<const Role&>(role));
      written["uuid"] = role.uuid;
      return writer.put(at, written);
    }));
    return Response{};
  }

  Result<Response> remove(const BackendCall& call) {
    RETURN_IF_ERROR(storage_.remove(key(lower_case(call.param("name")))));
    return Response{};
  }

  Result<Response> list() const {
    ASSIGN_OR_RETURN(auto names, storage_.list("role/"));
    return Response{.data = {{"keys", std::move(names)}}};
  }

  engines::MountStorage& storage_;
  Random& random_;
  const Parse parse_;
};

}  // namespace curfew::broker
