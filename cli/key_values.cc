#include "cli/key_values.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <istream>

namespace curfew::cli {

namespace {

constexpr std::size_t kInputBytesMax = std::size_t{32} << 20;

void add_value(Json& object, const std::string& key, std::string value) {
  const auto present = object.find(key);
  if (present == object.end()) {
    object[key] = std::move(value);
  } else if (present->is_array()) {
    present->push_back(std::move(value));
  } else {
    *present = Json::array({*present, std::move(value)});
  }
}

Status merge_document(Json& object, const std::string& text, const std::string& name) {
  Result<Json> document = parse_json(text);
  if (!document) {
    return Error{Errc::kInvalidArgument, name + " is not JSON: " + document.error().message};
  }
  if (!document->is_object()) {
    return Error{Errc::kInvalidArgument, name + " must hold one JSON object"};
  }
  object.update(*document);
  return ok();
}

Error standard_input_twice() {
  return {Errc::kInvalidArgument, "standard input can be read once: only one value can be \"-\""};
}

}  // namespace

Result<std::string> read_all(std::istream& in, std::string_view name) {
  std::string text;
  std::string chunk(64 * 1024, '\0');
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
    text.append(chunk, 0, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kInputBytesMax) {
      return Error{Errc::kInvalidArgument, std::string(name) + " is larger than 32 MiB"};
    }
  }
  if (in.bad()) return Error{Errc::kInvalidArgument, "cannot read " + std::string(name)};
  return text;
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  // Opening a directory succeeds; only reading it fails.
  if (!file || (file.peek() == std::ifstream::traits_type::eof() && !file.eof())) {
    return Error{Errc::kInvalidArgument,
                 "cannot read the file \"" + path + "\": does it exist, may you read it?"};
  }
  file.clear();
  return read_all(file, "the file \"" + path + "\"");
}

Result<std::string> read_source(const std::string& path, std::istream& in) {
  return path == "-" ? read_all(in, "standard input") : read_file(path);
}

Result<Secret> read_secret(std::istream& in) {
  ASSIGN_OR_RETURN(std::string text, read_all(in, "standard input"));
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = std::min(text.find_first_not_of(kBlanks), text.size());
  const std::size_t end = text.find_last_not_of(kBlanks) + 1;
  Secret secret(text.substr(first, end > first ? end - first : 0));
  zero(text);
  return secret;
}

Result<Json> parse_key_values(std::span<const std::string> words, std::istream& in) {
  Json object = Json::object();
  bool read_input = false;
  for (const std::string& word : words) {
    const bool is_input = word == "-" || word.substr(word.find('=') + 1) == "-";
    if (is_input && read_input) return standard_input_twice();
    read_input = read_input || is_input;
    if (word == "-") {
      ASSIGN_OR_RETURN(const std::string text, read_all(in, "standard input"));
      RETURN_IF_ERROR(merge_document(object, text, "standard input"));
      continue;
    }
    const std::size_t equals = word.find('=');
    if (word.starts_with('@') && equals == std::string::npos) {
      ASSIGN_OR_RETURN(const std::string text, read_file(word.substr(1)));
      RETURN_IF_ERROR(merge_document(object, text, "the file \"" + word.substr(1) + "\""));
      continue;
    }
    if (equals == std::string::npos || equals == 0) {
      return Error{Errc::kInvalidArgument,
                   "\"" + word +
                       "\" is not in the form KEY=VALUE (KEY=@FILE reads a file, KEY=- "
                       "standard input)"};
    }
    std::string value = word.substr(equals + 1);
    if (value == "-") {
      ASSIGN_OR_RETURN(value, read_all(in, "standard input"));
    } else if (value.starts_with('@')) {
      ASSIGN_OR_RETURN(value, read_file(value.substr(1)));
    } else if (value.starts_with("\\@")) {
      value.erase(0, 1);
    }
    add_value(object, word.substr(0, equals), std::move(value));
  }
  return object;
}

Result<std::pair<std::string, std::string>> split_pair(const std::string& text,
                                                       std::string_view what) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{Errc::kInvalidArgument,
                 std::string(what) + ": expected KEY=VALUE, got \"" + text + "\""};
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Result<Json> pairs_object(std::span<const std::string> texts, std::string_view what) {
  Json object = Json::object();
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(auto pair, split_pair(text, what));
    object[pair.first] = pair.second;
  }
  return object;
}

Result<Json> versions_list(std::span<const std::string> texts) {
  Json versions = Json::array();
  for (const std::string& text : texts) {
    std::size_t start = 0;
    while (start <= text.size()) {
      const std::size_t comma = std::min(text.find(',', start), text.size());
      const std::string version = text.substr(start, comma - start);
      const bool is_number =
          !version.empty() && version.size() <= 9 && version != "0" &&
          std::ranges::all_of(version, [](unsigned char c) { return std::isdigit(c) != 0; });
      if (!is_number) {
        return Error{Errc::kInvalidArgument,
                     "-versions: expected numbers such as 1,2, got \"" + text + "\""};
      }
      versions.push_back(version);
      start = comma + 1;
    }
  }
  return versions;
}

}  // namespace curfew::cli
