name = "all"
path "/secret/+/x*" {
  comment = "why"
  capabilities = ["create", "read", "update", "delete", "list", "sudo", "patch", "scan"]
  allowed_parameters = { "A" = [1, "b*", true], "*" = [] }
  denied_parameters { c = [] }
  required_parameters = ["d"]
  min_wrapping_ttl = "1m"
  max_wrapping_ttl = 90
  mfa_methods = ["totp"]
  pagination_limit = 100
  expiration = "2030-01-02T03:04:05Z"
  list_scan_response_keys_filter_path = "x"
  control_group = {
    ttl = "4h"
    factor "ops" {
      controlled_capabilities = ["read"]
      identity { group_names = ["a"] approvals = 2 }
    }
  }
}
