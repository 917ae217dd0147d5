# A server for production. docs/configuration.md describes every setting.

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/curfew/tls/server.crt"
  tls_key_file  = "/etc/curfew/tls/server.key"
}

storage "sqlite" {
  path = "/var/lib/curfew/curfew.db"
}

# The key that opens the store. It is made by "curfew operator init"; keep a copy of it apart from
# the copies of the store: who has both has everything, who lost it has nothing.
seal "file" {
  path = "/etc/curfew/seal/seal.key"
}
