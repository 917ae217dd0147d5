#pragma once

#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/pool.h"
#include "engines/postgres/static_rotation.h"

namespace curfew::engines::postgres {

struct PostgresOptions {
  // For what a write tries at the target: a configuration's connection, a role's statements.
  Millis verify_time{10'000};
  std::size_t verifiers_ready = 16;
  Pool::Limits pool = {};
  RotationOptions rotation = {};
};

// The engine for leased PostgreSQL roles. Its type is "database", as Vault's clients mount it; its
// paths are config/<name>, reset/<name>, roles/<name>, creds/<name>, static-roles/<name>,
// static-creds/<name> and rotate-role/<name>. An error refuses the mount.
Result<std::unique_ptr<SecretEngine>> make_postgres_engine(Services services,
                                                           PostgresOptions options = {});

}  // namespace curfew::engines::postgres
