#include "engines/postgres/owned_objects.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {

// A trigger's WHEN and a rule's action may call what the role owns while all else about them is
// somebody else's. Large objects cannot be called.
std::string code_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(WITH reaching AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_shdepend s
    JOIN pg_catalog.pg_database b ON b.oid = s.dbid
    JOIN pg_catalog.pg_depend d ON d.refclassid = s.classid AND d.refobjid = s.objid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.refobjid = {0}
      AND s.deptype = 'o' AND b.datname = current_database()
      AND s.classid <> 'pg_catalog.pg_largeobject'::regclass
      AND d.classid IN ('pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_rewrite'::regclass))
SELECT what, statement FROM (
  SELECT 1 AS turn, 'event trigger ' || e.evtname AS what,
    format('DROP EVENT TRIGGER %I', e.evtname) AS statement,
    'pg_catalog.pg_event_trigger'::regclass AS catalog, e.oid AS id
    FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
    WHERE e.evtowner = {0} OR p.proowner = {0}
  UNION ALL
  SELECT 2, 'subscription ' || s.subname, format('ALTER SUBSCRIPTION %1$I DISABLE; ALTER '
    'SUBSCRIPTION %1$I SET (slot_name = NONE); DROP SUBSCRIPTION %1$I', s.subname),
    0::oid::regclass, 0::oid
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
    WHERE s.subowner = {0} AND d.datname = current_database()
  UNION ALL
  SELECT 3, 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass::text,
    format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass),
    'pg_catalog.pg_trigger'::regclass, t.oid
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND (c.relowner = {0} OR p.proowner = {0}
      OR t.oid IN (SELECT objid FROM reaching WHERE classid = 'pg_catalog.pg_trigger'::regclass))
  UNION ALL
  SELECT 3, 'rule ' || r.rulename || ' on ' || r.ev_class::regclass::text,
    format('DROP RULE %I ON %s', r.rulename, r.ev_class::regclass),
    'pg_catalog.pg_rewrite'::regclass, r.oid
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    WHERE r.rulename <> '_RETURN' AND (c.relowner = {0} AND c.relkind IN ('r', 'p', 'f')
      OR c.relowner <> {0} AND r.oid IN (
        SELECT objid FROM reaching WHERE classid = 'pg_catalog.pg_rewrite'::regclass))
  UNION ALL
  SELECT 3, 'policy ' || y.polname || ' on ' || y.polrelid::regclass::text,
    format('DROP POLICY %I ON %s', y.polname, y.polrelid::regclass),
    'pg_catalog.pg_policy'::regclass, y.oid
    FROM pg_catalog.pg_policy y JOIN pg_catalog.pg_class c ON c.oid = y.polrelid
    WHERE c.relowner = {0}
  UNION ALL
  SELECT 3, 'foreign key ' || k.conname || ' of ' || k.conrelid::regclass::text,
    format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname),
    'pg_catalog.pg_constraint'::regclass, k.oid
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_class o ON o.oid = k.confrelid
    WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relowner = {0} AND o.relowner <> {0}
  UNION ALL
  SELECT 3, format('cast (%s AS %s)', k.castsource::regtype, k.casttarget::regtype),
    format('DROP CAST (%s AS %s)', k.castsource::regtype, k.casttarget::regtype),
    'pg_catalog.pg_cast'::regclass, k.oid
    FROM pg_catalog.pg_cast k LEFT JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc
    JOIN pg_catalog.pg_type f ON f.oid = k.castsource JOIN pg_catalog.pg_type t
      ON t.oid = k.casttarget
    WHERE p.proowner = {0} OR f.typowner = {0} OR t.typowner = {0}) AS code
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = catalog AND d.objid = id
  AND d.deptype = 'e')
ORDER BY turn, what LIMIT {1})sql",
      oid, kObjectsPerBatch);
}

// Schemas first: a new owner of a table must be allowed to create in its schema.
std::string holders_sql(std::uint32_t oid, Scope scope) {
  return fmt::format(
      R"sql(SELECT kind, name, 'ALTER ' || upper(kind) || ' ' || name || ' OWNER TO {1}',
  bool_or(kind NOT IN ('schema', 'type')) OVER (), catalog::oid, id FROM (
  SELECT 1 AS turn, 'schema' AS kind, format('%I', n.nspname) AS name,
    'pg_catalog.pg_namespace'::regclass AS catalog, n.oid AS id
    FROM pg_catalog.pg_namespace n
    WHERE n.nspowner = {0} AND n.nspname !~ '^pg_(toast_)?temp_' AND (
      EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relowner = {0}
        AND c.relkind IN ('r', 'p', 'm', 'f', 'S'))
      OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid
        AND t.typowner = {0} AND t.typtype IN ('e', 'd', 'r', 'c')))
  UNION ALL
  SELECT 2, 'type', format('%I.%I', n.nspname, t.typname), 'pg_catalog.pg_type'::regclass, t.oid
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typowner = {0} AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
      AND n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 3, CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'materialized view'
      WHEN 'f' THEN 'foreign table' ELSE 'table' END, format('%I.%I', n.nspname, c.relname),
    'pg_catalog.pg_class'::regclass, c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relowner = {0} AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND d.deptype IN ('a', 'i'))
  UNION ALL
  SELECT 4, 'large object', l.oid::text, 'pg_catalog.pg_largeobject'::regclass, l.oid
    FROM pg_catalog.pg_largeobject_metadata l WHERE l.lomowner = {0}
  UNION ALL
  SELECT 5, 'database', format('%I', d.datname), 'pg_catalog.pg_database'::regclass, d.oid
    FROM pg_catalog.pg_database d WHERE d.datdba = {0} AND {2}
  UNION ALL
  SELECT 5, 'tablespace', format('%I', s.spcname), 'pg_catalog.pg_tablespace'::regclass, s.oid
    FROM pg_catalog.pg_tablespace s WHERE s.spcowner = {0} AND {2}) AS held
ORDER BY turn, name LIMIT {3})sql",
      oid, kQuarantineRole, scope == Scope::kDatabaseAndShared, kObjectsPerBatch);
}

// Types and databases are open to PUBLIC where nobody said otherwise.
std::string close_holders_sql(std::uint32_t oid, Scope scope) {
  return fmt::format(
      R"sql(SELECT DISTINCT format('REVOKE ALL ON %s FROM %s CASCADE', what,
  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END) FROM (
  SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass::text
      AS what, a.grantee
    FROM pg_catalog.pg_class c CROSS JOIN LATERAL (
      SELECT r.grantee FROM pg_catalog.aclexplode(c.relacl) r
      UNION SELECT r.grantee FROM pg_catalog.pg_attribute t
        CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) r WHERE t.attrelid = c.oid) a
    WHERE c.relowner = {0} AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'm', 'f', 'S')
  UNION
  SELECT 'TYPE ' || t.oid::regtype::text, a.grantee
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    CROSS JOIN LATERAL pg_catalog.aclexplode(
      coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))) a
    WHERE t.typowner = {0} AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
  UNION
  SELECT 'SCHEMA ' || n.oid::regnamespace::text, a.grantee
    FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
    WHERE n.nspowner = {0}
  UNION
  SELECT 'LARGE OBJECT ' || l.oid::text, a.grantee
    FROM pg_catalog.pg_largeobject_metadata l
    CROSS JOIN LATERAL pg_catalog.aclexplode(l.lomacl) a WHERE l.lomowner = {0}
  UNION
  SELECT format('DATABASE %I', d.datname), a.grantee FROM pg_catalog.pg_database d
    CROSS JOIN LATERAL pg_catalog.aclexplode(
      coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE d.datdba = {0} AND {1}
  UNION
  SELECT format('TABLESPACE %I', s.spcname), a.grantee FROM pg_catalog.pg_tablespace s
    CROSS JOIN LATERAL pg_catalog.aclexplode(s.spcacl) a
    WHERE s.spcowner = {0} AND {1}) AS granted
WHERE grantee <> {0} ORDER BY 1 LIMIT {2})sql",
      oid, scope == Scope::kDatabaseAndShared, kObjectsPerBatch);
}

// The newest first: they may need older ones.
std::string others_sql(std::uint32_t oid, int limit) {
  return fmt::format(
      R"sql(SELECT pg_catalog.pg_describe_object(o.classid, o.objid, 0),
  CASE WHEN o.classid IN ('pg_catalog.pg_default_acl'::regclass,
      'pg_catalog.pg_user_mapping'::regclass) THEN ''
    ELSE 'DROP ' || CASE i.type WHEN 'statistics object' THEN 'STATISTICS'
      WHEN 'foreign-data wrapper' THEN 'FOREIGN DATA WRAPPER' ELSE upper(i.type) END
      || ' ' || i.identity END,
  o.takes_data_along, o.classid, o.objid, i.type, i.identity
FROM (
  SELECT d.classid, d.objid, d.classid = 'pg_catalog.pg_extension'::regclass AND EXISTS (
      SELECT FROM pg_catalog.pg_depend m JOIN pg_catalog.pg_class c ON c.oid = m.objid
      WHERE m.classid = 'pg_catalog.pg_class'::regclass AND m.refclassid = d.classid
        AND m.refobjid = d.objid AND m.deptype = 'e' AND c.relkind IN ('r', 'p', 'm', 'S'))
      AS takes_data_along
  FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_database b ON b.oid = d.dbid
  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = {}
    AND d.deptype = 'o' AND b.datname = pg_catalog.current_database()
  ORDER BY 3 DESC, 2 DESC, 1 LIMIT {}) AS o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
ORDER BY o.takes_data_along DESC, o.objid DESC, o.classid)sql",
      oid, limit);
}

std::string close_others_sql(std::uint32_t oid) {
  return fmt::format(
      R"sql(SELECT statement FROM (
  SELECT 1 AS turn, format('REVOKE ALL ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS statement
    FROM pg_catalog.pg_proc p CROSS JOIN LATERAL (SELECT 0::oid AS grantee
      UNION SELECT r.grantee FROM pg_catalog.aclexplode(p.proacl) r) a
    WHERE p.proowner = {0} AND a.grantee <> p.proowner
  UNION ALL
  SELECT 2, format('ALTER ROUTINE %s SECURITY INVOKER', p.oid::regprocedure)
    FROM pg_catalog.pg_proc p WHERE p.proowner = {0} AND p.prosecdef
  UNION ALL
  SELECT DISTINCT 3, format('REVOKE ALL ON TABLE %s FROM %s CASCADE', c.oid::regclass,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
    FROM pg_catalog.pg_class c CROSS JOIN LATERAL (
      SELECT r.grantee FROM pg_catalog.aclexplode(c.relacl) r
      UNION SELECT r.grantee FROM pg_catalog.pg_attribute t
        CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) r WHERE t.attrelid = c.oid) a
    WHERE c.relowner = {0} AND c.relkind = 'v' AND a.grantee <> c.relowner
  UNION ALL
  SELECT DISTINCT 3, format('REVOKE ALL ON %s FROM %s CASCADE', o.what,
      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
    FROM (
      SELECT 'SCHEMA ' || n.oid::regnamespace::text, n.nspacl, n.nspowner
        FROM pg_catalog.pg_namespace n
      UNION ALL SELECT format('FOREIGN SERVER %I', s.srvname), s.srvacl, s.srvowner
        FROM pg_catalog.pg_foreign_server s
      UNION ALL SELECT format('FOREIGN DATA WRAPPER %I', w.fdwname), w.fdwacl, w.fdwowner
        FROM pg_catalog.pg_foreign_data_wrapper w
      UNION ALL SELECT format('LANGUAGE %I', l.lanname), l.lanacl, l.lanowner
        FROM pg_catalog.pg_language l WHERE l.lanpltrusted
    ) AS o (what, acl, owner) CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a
    WHERE o.owner = {0} AND a.grantee <> {0}) AS closing
ORDER BY turn, statement)sql",
      oid);
}

}  // namespace curfew::engines::postgres
