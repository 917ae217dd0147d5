#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/api_client.h"
#include "cli/surroundings.h"
#include "cli/text_output.h"

namespace curfew::cli {

enum class Format { kTable, kJson, kYaml, kPretty };

// "table", "json", "yaml" or "pretty", from -format, CURFEW_FORMAT or VAULT_FORMAT;
// kInvalidArgument for anything else.
Result<Format> parse_format(std::string_view text);

// Writes a command's results in the format that was asked for. Refers to the surroundings. Not
// thread-safe. Every function that gives a number gives the command's exit code.
class Printer {
 public:
  // `field`: the one member that was asked for, "" for all.
  Printer(Format format, std::string field, Surroundings& around)
      : format_(format), field_(std::move(field)), around_(around) {}

  Format format() const { return format_; }
  bool is_table() const { return format_ == Format::kTable; }
  const std::string& field() const { return field_; }

  // An answer in Vault's envelope: lease, token, wrapping token and data; warnings to the side.
  // With a field, that alone. kInvalidArgument: there is no such field.
  Result<int> answer(const ApiReply& reply);

  // An object by itself, as a table of keys and values.
  Result<int> object(const Json& data);

  // `rows` for people (the first is the header), `data` for programs.
  Result<int> rows(const std::vector<Row>& rows, const OrderedJson& data);

  // `data` in the format for programs; `for_people` writes it otherwise.
  Result<int> either(const OrderedJson& data, const std::function<void(std::ostream&)>& for_people);

  // What a command did, where there is nothing else to print. People see it, programs nothing.
  int success(std::string_view text);

  // The one member of `data` that was asked for.
  Result<int> one_field(const Json& data, std::string_view name);

  void warnings(const Json& body);
  void warn(std::string_view text);

 private:
  std::string document(const OrderedJson& data) const;
  Result<int> raw(const Json& value);

  Format format_;
  std::string field_;
  Surroundings& around_;
};

// The envelope's members that -field knows, by the names that tables give them.
Json named_fields(const Json& body);

}  // namespace curfew::cli
