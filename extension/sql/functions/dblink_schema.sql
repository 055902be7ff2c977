-- dblink may live in any schema. It is looked up instead of trusted to a search_path, where somebody else could stand in for it.

create function pgkeeper.dblink_schema() returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_schema text;
begin
  select quote_ident(n.nspname) into found_schema
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'dblink';
  if found_schema is null then
    raise exception 'the extension dblink is not installed in this database'
      using errcode = 'undefined_object', hint = 'Run CREATE EXTENSION dblink; on the master.';
  end if;
  return found_schema;
end
$$;

comment on function pgkeeper.dblink_schema() is 'Quoted name of the schema dblink lives in.';
