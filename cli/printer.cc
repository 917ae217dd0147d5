#include "cli/printer.h"

#include <ostream>

namespace curfew::cli {

namespace {

bool is_set(const Json& value) {
  return !value.is_null() && !(value.is_string() && value.get_ref<const std::string&>().empty());
}

void add_lease(const Json& body, std::vector<Row>& rows) {
  const Json& duration = member(body, "lease_duration");
  if (!duration.is_number_integer() || duration.get<std::int64_t>() <= 0) return;
  if (is_set(member(body, "lease_id"))) {
    rows.push_back({"lease_id", value_text(member(body, "lease_id"))});
    rows.push_back({"lease_duration", duration_text(duration)});
    rows.push_back({"lease_renewable", value_text(member(body, "renewable"))});
  } else {
    // Without a lease the time only says how often to look for a newer value.
    rows.push_back({"refresh_interval", duration_text(duration)});
  }
}

void add_auth(const Json& auth, std::vector<Row>& rows) {
  if (!auth.is_object()) return;
  const Json& duration = member(auth, "lease_duration");
  rows.push_back({"token", value_text(member(auth, "client_token"))});
  rows.push_back({"token_accessor", value_text(member(auth, "accessor"))});
  const bool endless = duration.is_number_integer() && duration.get<std::int64_t>() == 0;
  rows.push_back({"token_duration", endless ? "∞" : duration_text(duration)});
  rows.push_back({"token_renewable", value_text(member(auth, "renewable"))});
  rows.push_back({"token_policies", quoted_list(member(auth, "token_policies"))});
  rows.push_back({"identity_policies", quoted_list(member(auth, "identity_policies"))});
  rows.push_back({"policies", quoted_list(member(auth, "policies"))});
  const Json& metadata = member(auth, "metadata");
  if (!metadata.is_object()) return;
  for (const auto& [name, value] : metadata.items()) {
    rows.push_back({"token_meta_" + name, value_text(value)});
  }
}

void add_wrapping(const Json& wrapping, std::vector<Row>& rows) {
  if (!wrapping.is_object()) return;
  rows.push_back({"wrapping_token:", value_text(member(wrapping, "token"))});
  rows.push_back({"wrapping_accessor:", value_text(member(wrapping, "accessor"))});
  rows.push_back({"wrapping_token_ttl:", duration_text(member(wrapping, "ttl"))});
  rows.push_back({"wrapping_token_creation_time:", value_text(member(wrapping, "creation_time"))});
  rows.push_back({"wrapping_token_creation_path:", value_text(member(wrapping, "creation_path"))});
  if (is_set(member(wrapping, "wrapped_accessor"))) {
    rows.push_back({"wrapped_accessor:", value_text(member(wrapping, "wrapped_accessor"))});
  }
}

void add_data(const Json& data, std::vector<Row>& rows) {
  if (!data.is_object()) return;
  for (const auto& [name, value] : data.items()) {
    rows.push_back({name, names_duration(name) ? duration_text(value) : value_text(value)});
  }
}

// The members that programs get, in Vault's order. The answers of some paths repeat their data
// outside the envelope; that is left out.
OrderedJson envelope_of(const ApiReply& reply) {
  const Json& body = reply.body;
  if (!body.is_object() || !body.contains("request_id")) return OrderedJson(body);
  OrderedJson envelope = OrderedJson::object();
  for (const char* name :
       {"request_id", "lease_id", "lease_duration", "renewable", "data", "warnings"}) {
    envelope[name] = OrderedJson(member(body, name));
  }
  for (const char* name : {"auth", "wrap_info"}) {
    if (!member(body, name).is_null()) envelope[name] = OrderedJson(member(body, name));
  }
  return envelope;
}

}  // namespace

Result<Format> parse_format(std::string_view text) {
  if (text == "table") return Format::kTable;
  if (text == "json") return Format::kJson;
  if (text == "yaml" || text == "yml") return Format::kYaml;
  if (text == "pretty") return Format::kPretty;
  return Error{Errc::kInvalidArgument, "the format \"" + std::string(text) +
                                           "\" is not known: use table, json, yaml or pretty"};
}

Json named_fields(const Json& body) {
  Json fields = Json::object();
  if (is_set(member(body, "lease_id"))) {
    fields["lease_id"] = body["lease_id"];
    fields["lease_duration"] = member(body, "lease_duration");
    fields["lease_renewable"] = member(body, "renewable");
  } else if (member(body, "lease_duration").is_number()) {
    fields["refresh_interval"] = body["lease_duration"];
  }
  const Json& auth = member(body, "auth");
  if (auth.is_object()) {
    fields["token"] = member(auth, "client_token");
    fields["token_accessor"] = member(auth, "accessor");
    fields["token_duration"] = member(auth, "lease_duration");
    fields["token_renewable"] = member(auth, "renewable");
    fields["token_policies"] = member(auth, "token_policies");
    fields["identity_policies"] = member(auth, "identity_policies");
    fields["policies"] = member(auth, "policies");
  }
  const Json& wrapping = member(body, "wrap_info");
  if (wrapping.is_object()) {
    fields["wrapping_token"] = member(wrapping, "token");
    fields["wrapping_accessor"] = member(wrapping, "accessor");
    fields["wrapping_token_ttl"] = member(wrapping, "ttl");
    fields["wrapping_token_creation_time"] = member(wrapping, "creation_time");
    fields["wrapping_token_creation_path"] = member(wrapping, "creation_path");
    fields["wrapped_accessor"] = member(wrapping, "wrapped_accessor");
  }
  return fields;
}

std::string Printer::document(const OrderedJson& data) const {
  if (format_ == Format::kYaml) return yaml_text(data);
  if (format_ == Format::kPretty) return pretty_text(Json(data));
  return json_text(data);
}

Result<int> Printer::answer(const ApiReply& reply) {
  if (!field_.empty()) {
    const Json& data = reply.data();
    if (field_ == "data" && !(data.is_object() && data.contains("data"))) return raw(data);
    if (data.is_object() && data.contains(field_)) return raw(data.at(field_));
    return one_field(named_fields(reply.body), field_);
  }
  if (format_ != Format::kTable) {
    if (!reply.body.is_null()) around_.out << document(envelope_of(reply));
    return 0;
  }
  warnings(reply.body);
  std::vector<Row> rows = {{"Key", "Value"}};
  if (reply.body.is_object() && reply.body.contains("request_id")) {
    add_lease(reply.body, rows);
    add_auth(member(reply.body, "auth"), rows);
    add_wrapping(member(reply.body, "wrap_info"), rows);
  }
  add_data(reply.data(), rows);
  if (rows.size() > 1) around_.out << table_text(rows);
  return 0;
}

Result<int> Printer::object(const Json& data) {
  if (!field_.empty()) return one_field(data, field_);
  if (format_ != Format::kTable) {
    around_.out << document(OrderedJson(data));
    return 0;
  }
  std::vector<Row> rows = {{"Key", "Value"}};
  add_data(data, rows);
  if (rows.size() > 1) around_.out << table_text(rows);
  return 0;
}

Result<int> Printer::rows(const std::vector<Row>& rows, const OrderedJson& data) {
  around_.out << (is_table() ? table_text(rows) : document(data));
  return 0;
}

Result<int> Printer::either(const OrderedJson& data,
                            const std::function<void(std::ostream&)>& for_people) {
  if (is_table()) {
    for_people(around_.out);
  } else {
    around_.out << document(data);
  }
  return 0;
}

int Printer::success(std::string_view text) {
  if (is_table()) around_.out << printable(text) << "\n";
  return 0;
}

Result<int> Printer::one_field(const Json& data, std::string_view name) {
  if (!data.is_object() || !data.contains(name)) {
    return Error{Errc::kInvalidArgument,
                 "the answer has no field \"" + std::string(name) + "\"; -format=json shows all"};
  }
  return raw(data.at(std::string(name)));
}

Result<int> Printer::raw(const Json& value) {
  if (format_ != Format::kTable) {
    around_.out << document(OrderedJson(value));
    return 0;
  }
  // Exactly the value, so that $(curfew …) and redirections get no byte more than that.
  around_.out << value_text(value);
  if (around_.out_is_terminal) around_.out << "\n";
  return 0;
}

void Printer::warnings(const Json& body) {
  const Json& list = member(body, "warnings");
  if (!list.is_array()) return;
  for (const Json& warning : list) warn(value_text(warning));
}

void Printer::warn(std::string_view text) {
  around_.err << "Warning: " << printable(text) << "\n";
}

}  // namespace curfew::cli
