-- Tells every worker that there is something to read. Equal notifications of one transaction are sent once. Never a conninfo.

create function pgkeeper.cluster_state_notify() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify('pgkeeper', format('{"version":%s,"epoch":%s}', new.version, new.epoch));
  return null;
end
$$;

comment on function pgkeeper.cluster_state_notify() is 'Tells every worker of a change of the registry.';

create trigger notify after update on pgkeeper.cluster_state
  for each row execute function pgkeeper.cluster_state_notify();

comment on trigger notify on pgkeeper.cluster_state is 'NOTIFY pgkeeper with version and epoch.';
