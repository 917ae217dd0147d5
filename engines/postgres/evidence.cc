#include "engines/postgres/evidence.h"

#include <algorithm>
#include <array>
#include <string>

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kTextMax = 200;  // characters
constexpr std::size_t kPlanBytesMax = 4 * 1024;
constexpr std::size_t kColumnsMax = 60;  // of a sample's row

void cut(std::string& text) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
    if (begins && characters++ == kTextMax) {
      text.resize(i);
      text += "…";
      return;
    }
  }
}

void cut_texts(Json& value) {
  if (value.is_string()) cut(value.get_ref<std::string&>());
  if (value.is_structured())
    for (Json& item : value) cut_texts(item);
}

// The value of a column is one text: an object in it is shown as such while it is short.
void cut_row(Json& row) {
  if (!row.is_object()) return cut_texts(row);
  while (row.size() > kColumnsMax) row.erase(std::prev(row.end()));
  for (Json& value : row) {
    if (value.is_structured()) {
      std::string text = dump_json(value);
      if (text.size() > kTextMax) value = std::move(text);
    }
    cut_texts(value);
  }
}

void cut_rows(Json& holder, const char* key) {
  const auto rows = holder.find(key);
  if (rows != holder.end() && rows->is_array())
    for (Json& row : *rows) cut_row(row);
}

void strip(Json& node) {
  if (node.is_object())
    for (const char* key : {"Output", "Alias", "Parallel Aware", "Async Capable", "Settings"})
      node.erase(key);
  if (node.is_structured())
    for (Json& item : node) strip(item);
}

bool too_long(const Json& evidence) {
  return dump_json(evidence).size() > kEvidenceBytesMax;
}

}  // namespace

Json bounded_plan(const Json& plan) {
  Json out = plan;
  if (out.is_array() && out.size() == 1) out = Json(out[0]);
  if (out.is_object() && out.contains("Plan")) out = Json(out["Plan"]);
  strip(out);
  cut_texts(out);
  if (dump_json(out).size() <= kPlanBytesMax || !out.is_object()) return out;
  Json summary{{"shortened", true}};
  for (const char* key :
       {"Node Type", "Operation", "Schema", "Relation Name", "Total Cost", "Plan Rows"})
    if (out.contains(key)) summary[key] = out[key];
  return summary;
}

Json bounded_evidence(Json evidence) {
  cut_rows(evidence, "sample");
  const auto tables = evidence.find("tables");
  if (tables != evidence.end())
    for (Json& table : *tables)
      for (const char* key : {"sample_before", "sample_after"}) cut_rows(table, key);
  for (const char* key : {"triggers", "warnings"})
    if (evidence.contains(key)) cut_texts(evidence[key]);
  if (!too_long(evidence)) return evidence;
  evidence["shortened"] = true;
  if (tables != evidence.end()) {
    for (std::size_t i = evidence["tables"].size(); i-- > 0 && too_long(evidence);) {
      Json& table = evidence["tables"][i];
      for (const char* key : {"sample_before", "sample_after"}) {
        const auto rows = table.find(key);
        if (rows != table.end() && rows->size() > 1) *rows = Json::array({Json((*rows)[0])});
      }
      if (i > 0 && too_long(evidence))
        for (const char* key : {"sample_before", "sample_after"}) table.erase(key);
    }
  }
  for (const char* key : {"sample", "plan", "tables", "locks", "triggers"})
    if (too_long(evidence)) evidence.erase(key);
  return evidence;
}

}  // namespace curfew::engines::postgres
