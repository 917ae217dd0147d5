#include "tests/crash/leftovers.h"

namespace curfew::crash {

std::string leftovers(test::PgSession& superuser) {
  return superuser.value(R"sql(
SELECT string_agg(what || ': ' || found, ', ') FROM (
  SELECT 'sessions' AS what, count(*) AS found FROM pg_stat_activity a
   WHERE a.usesysid IS NOT NULL AND a.datname = current_database()
     AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid)
  UNION ALL
  SELECT 'dependencies', count(*) FROM pg_shdepend d
   WHERE d.refclassid = 'pg_authid'::regclass
     AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
     AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = d.refobjid)
  UNION ALL
  SELECT 'memberships', count(*) FROM pg_auth_members m
   WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.member)
      OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.roleid)
  UNION ALL
  SELECT 'rights', count(*) FROM pg_class c, aclexplode(c.relacl) a
   WHERE a.grantee <> 0 AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.grantee)
) t WHERE found > 0)sql");
}

}  // namespace curfew::crash
