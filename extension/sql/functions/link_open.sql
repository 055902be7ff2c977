-- Opens a named dblink connection and returns its name, which nobody else can have. Who opens must close: dblink's connections
-- outlive a failed transaction.
-- dblink_connect lets a role that is not superuser connect only with a password that the other server really asks for.
-- dblink_connect_u does without; PostgreSQL grants it to nobody, so a role may use it here only when an administrator has
-- granted it that very function (see deploy/grants.sql).

create function pgkeeper.link_open(conninfo text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  dblink  text := pgkeeper.dblink_schema();
  link    text := 'pgkeeper_' || gen_random_uuid();
  connect text := 'dblink_connect';
begin
  if has_function_privilege(dblink || '.dblink_connect_u(text,text)', 'execute') then
    connect := 'dblink_connect_u';
  end if;
  execute format('select %s.%I($1, $2)', dblink, connect) using link, conninfo;
  return link;
end
$$;

comment on function pgkeeper.link_open(text) is 'Opens a dblink connection; the caller closes it.';
