#include <ostream>

#include "cli/commands.h"
#include "cli/key_values.h"
#include "cli/kv_paths.h"

namespace curfew::cli {

namespace {

Flag cas_flag() {
  return {{"cas"},
          FlagKind::kInteger,
          "Write only if this is the current version; 0 means that there is none yet.",
          "VERSION"};
}

// {"data": …, "options": {"cas": …}}
Result<Json> versioned_body(Call& call, Json data) {
  Json options = Json::object();
  const std::optional<std::int64_t> cas = call.arguments.integer("cas");
  if (cas && *cas < -1) return local_error("-cas: expected 0 or a version");
  if (cas && *cas >= 0) options["cas"] = *cas;
  return Json{{"data", std::move(data)}, {"options", std::move(options)}};
}

// What a write to a versioned key answers: where it went and the version's metadata.
Result<int> show_written(Call& call, const ApiReply& reply, const std::string& path) {
  if (reply.data().is_null()) return call.print.success("Success! Data written to: " + path);
  if (call.print.is_table() && call.print.field().empty()) {
    call.print.warnings(reply.body);
    call.around.out << "== Secret Path ==\n"
                    << printable(path) << "\n\n"
                    << section_text("Metadata", reply.data());
    return kExitOk;
  }
  return call.print.answer(reply);
}

// The whole command line is checked before the first call.
Status check_version_flag(Call& call) {
  const std::optional<std::int64_t> version = call.arguments.integer("version");
  if (version && *version < 0) return local_error("-version: expected a version's number");
  return ok();
}

Result<int> get(Call& call) {
  RETURN_IF_ERROR(check_version_flag(call));
  ASSIGN_OR_RETURN(const KvPath path, find_kv_path(call));
  const std::optional<std::int64_t> version = call.arguments.integer("version");
  if (version && !path.versioned) {
    return Error{Errc::kRefused, "-version needs a kv engine of version 2"};
  }
  const std::string api_path = path.api("data");
  ApiRequest request{
      .method = "GET", .path = api_path, .doing = "reading " + api_path, .none_ok = true};
  if (version && *version > 0) request.query = {{"version", std::to_string(*version)}};
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  if (reply.is_miss()) return missing_error("No value found at " + api_path);
  const bool wrapped = !member(reply.body, "wrap_info").is_null();
  if (!path.versioned || wrapped) return call.print.answer(reply);

  const Json data = member(reply.data(), "data");
  if (!call.print.field().empty()) {
    if (data.is_null()) return missing_error("No data found at " + api_path);
    return call.print.field() == "data" && !data.contains("data")
               ? call.print.one_field(reply.data(), "data")
               : call.print.one_field(data, call.print.field());
  }
  if (!call.print.is_table()) return call.print.answer(reply);
  call.print.warnings(reply.body);
  call.around.out << "== Secret Path ==\n"
                  << printable(api_path) << "\n\n"
                  << section_text("Metadata", member(reply.data(), "metadata"));
  if (!data.is_null()) call.around.out << "\n" << section_text("Data", data);
  return kExitOk;
}

Result<int> put(Call& call) {
  ASSIGN_OR_RETURN(Json data,
                   parse_key_values(std::span(call.arguments.words()).subspan(1), call.around.in));
  ASSIGN_OR_RETURN(Json body, versioned_body(call, data));
  ASSIGN_OR_RETURN(const KvPath path, find_kv_path(call));
  if (!path.versioned && call.arguments.has("cas")) {
    return Error{Errc::kRefused, "-cas needs a kv engine of version 2"};
  }
  const std::string api_path = path.api("data");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = api_path,
                                    .body = path.versioned ? std::move(body) : std::move(data),
                                    .doing = "writing data to " + api_path}));
  return show_written(call, reply, api_path);
}

// Reads, merges and writes with check-and-set, for servers that cannot patch.
Result<int> patch_by_writing(Call& call, const std::string& api_path, const Json& changes) {
  ASSIGN_OR_RETURN(const ApiReply now, call.api().send({.method = "GET",
                                                        .path = api_path,
                                                        .doing = "reading " + api_path,
                                                        .none_ok = true,
                                                        .preliminary = true}));
  Json data = member(now.data(), "data");
  if (now.is_miss() || !data.is_object()) {
    return missing_error("No value found at " + api_path + ": `curfew kv put` makes one");
  }
  const Json version = member(member(now.data(), "metadata"), "version");
  const std::optional<std::int64_t> cas = call.arguments.integer("cas");
  data.merge_patch(changes);
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send(
          {.method = "PUT",
           .path = api_path,
           .body = Json{{"data", std::move(data)},
                        {"options", {{"cas", cas && *cas >= 0 ? Json(*cas) : version}}}},
           .doing = "writing data to " + api_path}));
  return show_written(call, reply, api_path);
}

Result<int> patch(Call& call) {
  ASSIGN_OR_RETURN(const Json changes,
                   parse_key_values(std::span(call.arguments.words()).subspan(1), call.around.in));
  ASSIGN_OR_RETURN(Json body, versioned_body(call, changes));
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, "kv patch"));
  const std::string api_path = path.api("data");
  const std::string method = call.arguments.text("method");
  if (method == "rw") return patch_by_writing(call, api_path, changes);
  ApiRequest request{.method = "PATCH",
                     .path = api_path,
                     .body = std::move(body),
                     .doing = "writing data to " + api_path,
                     .none_ok = true,
                     .content_type = "application/merge-patch+json"};
  if (method.empty()) request.accept.push_back(405);
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  if (reply.status == 405) return patch_by_writing(call, api_path, changes);
  if (reply.status == 404) {
    return missing_error("No value found at " + api_path + ": `curfew kv put` makes one");
  }
  return show_written(call, reply, api_path);
}

Result<int> list(Call& call) {
  ASSIGN_OR_RETURN(const KvPath path, find_kv_path(call));
  const std::string api_path = path.api("metadata");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = api_path,
                                                          .query = {{"list", "true"}},
                                                          .doing = "listing " + api_path,
                                                          .none_ok = true}));
  return show_keys(call, reply, api_path);
}

Result<int> remove(Call& call) {
  ASSIGN_OR_RETURN(Json versions, versions_list(call.arguments.list("versions")));
  ASSIGN_OR_RETURN(const KvPath path, find_kv_path(call));
  if (!versions.empty() && !path.versioned) {
    return Error{Errc::kRefused, "-versions needs a kv engine of version 2"};
  }
  ApiRequest request{.method = "DELETE", .path = path.api("data"), .doing = "deleting "};
  if (!versions.empty()) {
    request.method = "PUT";
    request.path = path.api("delete");
    request.body = Json{{"versions", std::move(versions)}};
  }
  request.doing += path.api("data");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send(request));
  call.print.warnings(reply.body);
  return call.print.success("Success! Data deleted (if it existed) at: " + path.api("data"));
}

// undelete and destroy
Result<int> change_versions(Call& call, const char* operation) {
  ASSIGN_OR_RETURN(Json versions, versions_list(call.arguments.list("versions")));
  if (versions.empty()) return local_error("Name the versions: -versions=1,2");
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, std::string("kv ") + operation));
  const std::string api_path = path.api(operation);
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = api_path,
                                    .body = Json{{"versions", std::move(versions)}},
                                    .doing = "writing data to " + api_path}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Data written to: " + api_path);
}

Result<int> rollback(Call& call) {
  const std::optional<std::int64_t> version = call.arguments.integer("version");
  if (!version || *version < 1) return local_error("Name the version to go back to: -version=N");
  ASSIGN_OR_RETURN(const KvPath path, find_versioned_path(call, "kv rollback"));
  const std::string api_path = path.api("data");
  const auto look = [&](std::vector<std::pair<std::string, std::string>> query) {
    return call.api().send({.method = "GET",
                            .path = api_path,
                            .query = std::move(query),
                            .doing = "reading " + api_path,
                            .none_ok = true,
                            .preliminary = true});
  };
  ASSIGN_OR_RETURN(const ApiReply now, look({}));
  if (now.is_miss()) return missing_error("No value found at " + api_path);
  ASSIGN_OR_RETURN(const ApiReply then, look({{"version", std::to_string(*version)}}));
  Json data = member(then.data(), "data");
  if (then.is_miss() || data.is_null()) {
    return missing_error("Version " + std::to_string(*version) + " of " + api_path +
                         " is not there: it was never written, or was deleted or destroyed");
  }
  const Json current = member(member(now.data(), "metadata"), "version");
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "PUT",
                       .path = api_path,
                       .body = Json{{"data", std::move(data)}, {"options", {{"cas", current}}}},
                       .doing = "writing data to " + api_path}));
  return show_written(call, reply, api_path);
}

Flag versions_flag() {
  return {{"versions"}, FlagKind::kList, "The versions, as 1,2.", "NUMBERS"};
}

}  // namespace

void add_kv_commands(CommandTable& table) {
  table.groups.push_back({"kv", "Keys and values, with or without versions"});
  const auto add = [&](Command command) {
    command.flags.push_back(mount_flag());
    table.commands.push_back(std::move(command));
  };
  const Flag version = {{"version"}, FlagKind::kInteger, "The version.", "NUMBER"};
  add({.path = "kv get",
       .summary = "Shows a secret",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = {version, field_flag()},
       .details = "      curfew kv get -mount=secret app/config\n"
                  "      curfew kv get -field=password secret/app/config\n",
       .run = get});
  add({.path = "kv put",
       .summary = "Writes a secret as a whole",
       .synopsis = "[flags] KEY KEY=VALUE...",
       .words = {2, kManyWords},
       .flags = {cas_flag(), field_flag()},
       .details = "      curfew kv put secret/app/config user=app password=@password.txt\n"
                  "      curfew kv put secret/app/config - < config.json\n",
       .run = put});
  add({.path = "kv patch",
       .summary = "Changes some members of a secret",
       .synopsis = "[flags] KEY KEY=VALUE...",
       .words = {2, kManyWords},
       .flags = {cas_flag(),
                 {{"method"},
                  FlagKind::kText,
                  "patch: by the server; rw: by reading and writing. Without it, patch and where "
                  "the server cannot, rw.",
                  "METHOD",
                  {"patch", "rw"}},
                 field_flag()},
       .run = patch});
  add({.path = "kv list",
       .summary = "Lists the keys below a path",
       .synopsis = "[flags] PATH",
       .words = {0, 1},
       .run = list});
  add({.path = "kv delete",
       .summary = "Deletes a secret, or some of its versions; undelete brings them back",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = {versions_flag()},
       .run = remove});
  add({.path = "kv undelete",
       .summary = "Brings deleted versions back",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = {versions_flag()},
       .run = [](Call& call) { return change_versions(call, "undelete"); }});
  add({.path = "kv destroy",
       .summary = "Removes versions for good",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = {versions_flag()},
       .run = [](Call& call) { return change_versions(call, "destroy"); }});
  add({.path = "kv rollback",
       .summary = "Writes an earlier version again, as the newest",
       .synopsis = "[flags] KEY",
       .words = {1, 1},
       .flags = {version, field_flag()},
       .run = rollback});
}

}  // namespace curfew::cli
