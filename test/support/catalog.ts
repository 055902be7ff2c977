/** Everything a schema consists of, as the catalogs tell it: comparable between databases and servers (no oids, no times). */
import type { TestServer } from '../../src/testbed/server.js';

export interface CatalogEntry {
  readonly kind: string;
  readonly name: string;
  readonly definition: string;
}

/** Privileges spelled out and sorted: a default may be stored as NULL, and an ACL is in the order of the grants. */
const acl = (column: string, kind: string, owner: string) =>
  `(select string_agg(item::text, ',' order by item::text) from unnest(coalesce(${column}, acldefault(${kind}, ${owner}))) item)`;

/** $1 = schema. */
const catalogSql = `
with s as (select oid from pg_namespace where nspname = $1)
select kind, name, definition from (
  select 'schema' as kind, n.nspname::text as name,
         concat_ws(' | ', pg_get_userbyid(n.nspowner), ${acl('n.nspacl', "'n'", 'n.nspowner')}, obj_description(n.oid, 'pg_namespace')) as definition
  from pg_namespace n where n.oid = (select oid from s)
  union all
  select 'relation ' || c.relkind::text, c.relname,
         concat_ws(' | ', pg_get_userbyid(c.relowner), ${acl('c.relacl', "case c.relkind when 'S' then 's' else 'r' end::\"char\"", 'c.relowner')}, c.relpersistence::text, c.reloptions::text, am.amname,
                   (select t.reloptions::text from pg_class t where t.oid = c.reltoastrelid),
                   c.relrowsecurity::text, c.relreplident::text, obj_description(c.oid, 'pg_class'),
                   case c.relkind when 'v' then pg_get_viewdef(c.oid) when 'i' then pg_get_indexdef(c.oid) end)
  from pg_class c left join pg_am am on am.oid = c.relam where c.relnamespace = (select oid from s)
  union all
  select 'column', c.relname || '.' || lpad(a.attnum::text, 2, '0') || ' ' || a.attname,
         concat_ws(' | ', format_type(a.atttypid, a.atttypmod), a.attnotnull::text, a.attidentity::text, a.attgenerated::text,
                   a.attacl::text, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
  from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = (select oid from s) and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'v')
  union all
  select 'sequence', c.relname,
         concat_ws(' | ', q.seqtypid::regtype::text, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
                   (select d.deptype::text || ' ' || d.refobjid::regclass || '.' || d.refobjsubid from pg_depend d
                    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass))
  from pg_sequence q join pg_class c on c.oid = q.seqrelid where c.relnamespace = (select oid from s)
  union all
  select 'constraint', k.conrelid::regclass || '.' || k.conname,
         concat_ws(' | ', pg_get_constraintdef(k.oid), k.convalidated::text, k.condeferrable::text, obj_description(k.oid, 'pg_constraint'))
  from pg_constraint k where k.connamespace = (select oid from s)
  union all
  select 'function', p.oid::regprocedure::text,
         concat_ws(' | ', pg_get_userbyid(p.proowner), ${acl('p.proacl', "'f'", 'p.proowner')}, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc'))
  from pg_proc p where p.pronamespace = (select oid from s)
  union all
  select 'trigger', t.tgrelid::regclass || '.' || t.tgname,
         concat_ws(' | ', pg_get_triggerdef(t.oid), t.tgenabled::text, obj_description(t.oid, 'pg_trigger'))
  from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = (select oid from s) and not t.tgisinternal
  union all
  select 'type', format_type(t.oid, null), concat_ws(' | ', t.typtype::text, ${acl('t.typacl', "'T'", 't.typowner')})
  from pg_type t where t.typnamespace = (select oid from s)
) all_objects order by kind, name`;

export function catalogOf(
  server: TestServer,
  database: string,
  schema = 'pgkeeper',
): Promise<readonly CatalogEntry[]> {
  return server.query<CatalogEntry & Record<string, unknown>>(catalogSql, [schema], 'postgres', database);
}

/** Every object of a database that is not PostgreSQL's own, one line each: what an installation leaves behind shows here. */
export async function objectsIn(server: TestServer, database: string): Promise<readonly string[]> {
  const rows = await server.query<{ object: string }>(
    `select pg_describe_object(d.classid, d.objid, 0) as object
     from (select 'pg_class'::regclass as classid, oid as objid, relnamespace as schema from pg_class
           union all select 'pg_proc'::regclass, oid, pronamespace from pg_proc
           union all select 'pg_type'::regclass, oid, typnamespace from pg_type
           union all select 'pg_namespace'::regclass, oid, oid from pg_namespace
           union all select 'pg_extension'::regclass, oid, 0 from pg_extension) d
     left join pg_namespace n on n.oid = d.schema
     where n.nspname is null or n.nspname !~ '^(pg_|information_schema)'
     order by 1`,
    [],
    'postgres',
    database,
  );
  return rows.map(({ object }) => object);
}
