#pragma once

#include "cli/command.h"

// Each function adds the commands of one subject to the table.
namespace curfew::cli {

void add_basic_commands(CommandTable& table);        // status read write list delete unwrap …
void add_login_commands(CommandTable& table);        // login, print token
void add_kv_commands(CommandTable& table);           // kv get put patch list delete …
void add_kv_metadata_commands(CommandTable& table);  // kv metadata …
void add_lease_commands(CommandTable& table);
void add_quarantine_commands(CommandTable& table);
void add_token_commands(CommandTable& table);
void add_policy_commands(CommandTable& table);
void add_secrets_commands(CommandTable& table);
void add_auth_commands(CommandTable& table);
void add_agent_commands(CommandTable& table);
void add_approval_commands(CommandTable& table);
void add_request_commands(CommandTable& table);  // request, approval wait, claim
void add_watch_commands(CommandTable& table);    // approval watch
void add_clock_commands(CommandTable& table);
void add_audit_commands(CommandTable& table);
void add_namespace_commands(CommandTable& table);
void add_operator_commands(CommandTable& table);
void add_rekey_commands(CommandTable& table);
void add_generate_root_commands(CommandTable& table);
void add_target_commands(CommandTable& table);
void add_local_commands(CommandTable& table);  // help, version, completion

}  // namespace curfew::cli
