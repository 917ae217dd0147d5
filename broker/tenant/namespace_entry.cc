#include "broker/tenant/namespace_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/duration.h"
#include "broker/attribution.h"
#include "store/sql.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kNameBytesMax = 128;
constexpr std::size_t kMetadataMax = 64;
constexpr std::size_t kMetadataBytesMax = 512;
// What a request's path could otherwise mean as well.
constexpr std::array<std::string_view, 6> kReserved = {"root", "sys",       "audit",
                                                       "auth", "cubbyhole", "identity"};

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

bool is_name_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f && c != '*' && c != '+' && c != '%' && c != '?' && c != '#' &&
         c != '"' && c != '\\' && c != '{' && c != '}' && c != '<' && c != '>';
}

}  // namespace

std::string NamespaceEntry::name() const {
  if (path.empty()) return {};
  const std::string_view whole = std::string_view(path).substr(0, path.size() - 1);
  return std::string(whole.substr(whole.rfind('/') + 1));
}

Json to_stored(const NamespaceEntry& entry) {
  return {{"id", entry.id},
          {"uuid", entry.uuid},
          {"path", entry.path},
          {"custom_metadata", entry.custom_metadata},
          {"created_at", to_unix_millis(entry.created_at)},
          {"deleting", entry.deleting}};
}

NamespaceEntry namespace_entry_from_stored(const Json& stored) {
  NamespaceEntry entry;
  entry.id = stored.at("id").get<std::string>();
  entry.uuid = stored.at("uuid").get<std::string>();
  entry.path = stored.at("path").get<std::string>();
  entry.custom_metadata = stored.at("custom_metadata").get<std::map<std::string, std::string>>();
  entry.created_at = from_unix_millis(stored.at("created_at").get<std::int64_t>());
  entry.deleting = stored.at("deleting").get<bool>();
  return entry;
}

Json to_api(const NamespaceEntry& entry, const std::string& above) {
  return {{"id", entry.id},
          {"uuid", entry.uuid},
          {"path", entry.path.substr(above.size())},
          {"custom_metadata", entry.custom_metadata},
          {"created_time", format_rfc3339(entry.created_at)},
          {"tainted", entry.deleting}};
}

Result<std::string> namespace_name(std::string_view text) {
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.empty()) return invalid("the namespace needs a name");
  if (text.find('/') != std::string_view::npos)
    return invalid(
        "path must not contain /: a namespace is made in the one above it, which the header "
        "X-Vault-Namespace names");
  if (text.size() > kNameBytesMax)
    return invalid(fmt::format("the namespace's name is longer than {} bytes", kNameBytesMax));
  if (!store::is_storable_text(text) || !std::all_of(text.begin(), text.end(), is_name_character) ||
      clean_text(text, kNameBytesMax) != text || text == "." || text == "..")
    return invalid(
        "the namespace's name holds characters that cannot stand in it: blanks, control "
        "characters, what is invisible or turns the direction of writing, and any of "
        "* + % ? # \" \\ { } < >");
  if (std::find(kReserved.begin(), kReserved.end(), text) != kReserved.end())
    return invalid(
        fmt::format("\"{}\" is a reserved path and cannot be used as a namespace name", text));
  return std::string(text);
}

Result<std::map<std::string, Json>> custom_metadata_of(const Json& data) {
  std::map<std::string, Json> out;
  const auto it = data.find("custom_metadata");
  if (it == data.end() || it->is_null()) return out;
  if (!it->is_object()) return invalid("field \"custom_metadata\": expected an object of texts");
  for (const auto& [key, value] : it->items()) {
    if (!value.is_string() && !value.is_null())
      return invalid("custom_metadata values must be strings");
    const std::size_t bytes =
        key.size() + (value.is_string() ? value.get<std::string>().size() : 0);
    if (key.empty() || bytes > kMetadataBytesMax)
      return invalid(fmt::format(
          "field \"custom_metadata\": a key with its value has 1 to {} bytes", kMetadataBytesMax));
    out[key] = value;
  }
  if (out.size() > kMetadataMax)
    return invalid(fmt::format("field \"custom_metadata\": more than {} keys", kMetadataMax));
  return out;
}

}  // namespace curfew::broker
