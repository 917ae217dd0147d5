#include "broker/openapi.h"

#include <algorithm>
#include <cctype>

namespace curfew::broker {
namespace {

const char* schema_type(FieldType type) {
  switch (type) {
    case FieldType::kText: return "string";
    case FieldType::kInteger: return "integer";
    case FieldType::kBoolean: return "boolean";
    case FieldType::kDuration: return "string";
    case FieldType::kList: return "array";
    case FieldType::kMap: return "object";
    case FieldType::kAny: return "object";
  }
  return "string";
}

Json body_schema(const std::vector<FieldSpec>& fields) {
  Json properties = Json::object(), required = Json::array();
  for (const FieldSpec& field : fields) {
    Json property = {{"type", schema_type(field.type)}, {"description", field.description}};
    if (field.type == FieldType::kList) property["items"] = {{"type", "string"}};
    if (field.type == FieldType::kDuration) property["format"] = "duration";
    properties[field.name] = std::move(property);
    if (field.required) required.push_back(field.name);
  }
  Json schema = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

// "config/{name}" and "data/{path...}" as OpenAPI writes them, with the names found.
std::string plain_pattern(const std::string& pattern, std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      out += pattern[i];
      continue;
    }
    const auto end = pattern.find('}', i);
    std::string name = pattern.substr(i + 1, end - i - 1);
    if (name.ends_with("...")) name.resize(name.size() - 3);
    if (name.ends_with('@')) name.pop_back();
    out += "{" + name + "}";
    names.push_back(std::move(name));
    i = end;
  }
  return out;
}

Json operation_json(const RouteSpec& route, Operation operation, const std::string& tag) {
  Json out = {{"summary", route.summary},
              {"operationId", ""},
              {"tags", {tag}},
              {"responses",
               {{"200", {{"description", "OK"}}},
                {"204", {{"description", "OK, nothing to say"}}},
                {"400", {{"description", "The request is wrong"}}},
                {"403", {{"description", "Not allowed"}}}}}};
  const bool writes = operation == Operation::kUpdate || operation == Operation::kCreate ||
                      operation == Operation::kPatch;
  if (writes && !route.fields.empty()) {
    const char* type =
        operation == Operation::kPatch ? "application/merge-patch+json" : "application/json";
    out["requestBody"]["content"][type]["schema"] = body_schema(route.fields);
  }
  if (operation == Operation::kList)
    out["parameters"] = {{{"name", "list"},
                          {"in", "query"},
                          {"required", true},
                          {"schema", {{"type", "string"}, {"enum", {"true"}}}}}};
  if (route.sudo) out["x-vault-sudo"] = true;
  if (route.unauthenticated) out["security"] = Json::array();
  return out;
}

std::string operation_id(const char* verb, const std::string& path) {
  std::string id = verb;
  for (const char c : path) id += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return id;
}

template <class Handler>
void describe_table(const RouteTable<Handler>& table, const std::string& mount,
                    const std::string& tag, Json& paths) {
  for (const auto& route : table.routes()) {
    std::vector<std::string> names;
    std::string path = "/v1/" + mount + plain_pattern(route.pattern, names);
    Json item = paths.value(path, Json::object());
    if (!names.empty()) {
      item["parameters"] = Json::array();
      for (const std::string& name : names)
        item["parameters"].push_back(
            {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
    }
    const auto add = [&](const char* verb, Operation operation) {
      if (item.contains(verb)) return;
      item[verb] = operation_json(route, operation, tag);
      item[verb]["operationId"] = operation_id(verb, path);
    };
    for (const auto& [operation, handler] : route.handlers) {
      switch (operation) {
        case Operation::kRead: add("get", operation); break;
        case Operation::kList: add("get", operation); break;
        case Operation::kCreate:
        case Operation::kUpdate: add("post", operation); break;
        case Operation::kPatch: add("patch", operation); break;
        case Operation::kDelete: add("delete", operation); break;
      }
    }
    if (route.issues_lease) add("get", Operation::kRead);
    paths[path] = std::move(item);
  }
}

}  // namespace

Json describe_api(const Backend& system, const Backend& token_backend,
                  const Backend& identity_backend, const AuthMounts& auth_mounts,
                  const MountTable& mounts, const std::string& version) {
  Json paths = Json::object();
  describe_table(system.routes(), "sys/", "system", paths);
  describe_table(token_backend.routes(), "auth/token/", "auth", paths);
  for (const MountEntry& entry : auth_mounts.list()) {
    const auto mount = auth_mounts.at(entry.path);
    if (mount) describe_table(mount->method().routes(), mount->full_path(), "auth", paths);
  }
  describe_table(identity_backend.routes(), "identity/", "identity", paths);
  for (const MountEntry& entry : mounts.list()) {
    const auto mount = mounts.at(entry.path);
    if (mount) describe_table(mount->engine().routes(), entry.path, "secrets", paths);
  }
  return {{"openapi", "3.0.2"},
          {"info",
           {{"title", "Curfew"},
            {"description", "A secrets broker for databases. It speaks Vault's HTTP API."},
            {"version", version},
            {"license", {{"name", "Apache 2.0"}}}}},
          {"components",
           {{"securitySchemes",
             {{"token", {{"type", "apiKey"}, {"in", "header"}, {"name", "X-Vault-Token"}}}}}}},
          {"security", {{{"token", Json::array()}}}},
          {"paths", std::move(paths)}};
}

}  // namespace curfew::broker
