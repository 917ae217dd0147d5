#include "cli/seal_status.h"

namespace curfew::cli {

namespace {

std::string text_at(const Json& object, const char* name) {
  const Json& found = member(object, name);
  return found.is_null() ? "" : value_text(found);
}

bool is_true(const Json& object, const char* name) {
  return member(object, name) == true;
}

std::vector<Row> status_rows(const Json& status) {
  std::vector<Row> rows = {
      {"Key", "Value"},
      {"Seal Type", text_at(status, "type")},
      {"Initialized", text_at(status, "initialized")},
      {"Sealed", text_at(status, "sealed")},
      {is_true(status, "recovery_seal") ? "Total Recovery Shares" : "Total Shares",
       text_at(status, "n")},
      {"Threshold", text_at(status, "t")}};
  if (is_true(status, "migration")) rows.push_back({"Seal Migration in Progress", "true"});
  if (is_true(status, "sealed")) {
    rows.push_back({"Unseal Progress", text_at(status, "progress") + "/" + text_at(status, "t")});
    rows.push_back({"Unseal Nonce", text_at(status, "nonce")});
  }
  const auto add_if_set = [&](const char* title, const char* name) {
    const std::string text = text_at(status, name);
    if (!text.empty()) rows.push_back({title, text});
  };
  rows.push_back({"Version", text_at(status, "version")});
  add_if_set("Build Date", "build_date");
  add_if_set("Storage Type", "storage_type");
  add_if_set("Cluster Name", "cluster_name");
  add_if_set("Cluster ID", "cluster_id");
  add_if_set("HA Enabled", "ha_enabled");
  if (is_true(status, "ha_enabled")) {
    rows.push_back({"HA Mode", is_true(status, "is_self") ? "active" : "standby"});
    add_if_set("Active Node Address", "leader_address");
  }
  return rows;
}

}  // namespace

Result<int> show_seal_status(Call& call, Json seal_status) {
  // A sealed or new server may refuse to say who leads.
  ASSIGN_OR_RETURN(const ApiReply leader, call.api().send({.method = "GET",
                                                           .path = "sys/leader",
                                                           .doing = "asking who leads",
                                                           .accept = {400, 403, 404, 500, 501, 503},
                                                           .token = Secret(),
                                                           .in_root_namespace = true}));
  if (!seal_status.is_object()) seal_status = Json::object();
  if (leader.status == 200 && leader.body.is_object()) {
    for (const char* name :
         {"ha_enabled", "is_self", "active_time", "leader_address", "leader_cluster_address"}) {
      if (leader.body.contains(name)) seal_status[name] = leader.body.at(name);
    }
  }
  if (!call.print.field().empty()) return call.print.one_field(seal_status, call.print.field());
  return call.print.rows(status_rows(seal_status), OrderedJson(seal_status));
}

}  // namespace curfew::cli
