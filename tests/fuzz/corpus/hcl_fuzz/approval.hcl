path "database/creds/{{identity.entity.name}}" {
  capabilities = ["read", "update"]
  control_group { ttl = "4h" factor "ops" { identity { group_ids = ["a"] approvals = 2 } } }
  approval {
    request_ttl = "30m" claim_window = 900 default_ttl = "15m" max_ttl = "1h" escalate_after = "10m"
    escalate_to { group_names = ["oncall"] group_ids = ["g"] }
    reason_required = true ticket_required = true statement_required = true
    notify = ["dba-slack"]
    factor "owners" {
      controlled_capabilities = ["read"]
      identity { group_names = ["owners"] approvals = 1 }
    }
    auto "small reads" { max_ttl = "10m" per_hour = 5 shadow = true }
    break_glass { group_names = ["sre"] }
    task { max_leases = 20 max_statements = 20 max_duration = "2h" }
  }
}
path "database/creds/*" {
  capabilities = ["read"]
  approval = { factor = { "f" = { identity = { group_ids = ["b"] approvals = 1 } } } }
}
