path "a/{{identity.entity.name}}/*" { capabilities = ["read"] }
path "a/{{identity.entity.metadata.team}}/b" { capabilities = ["deny"] }
path "a/{{identity.groups.names.ops.id}}" { policy = "write" }
path "+/{{identity.entity.aliases.auth_1.custom_metadata.k}}" { policy = "sudo" }
