-- Raises an error on a standby that says where to go instead.

create function pgkeeper.refuse_on_standby(what text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  master text;
begin
  if not pg_is_in_recovery() then
    return;
  end if;
  select n.name into master from pgkeeper.node_info n where n.is_master;
  raise exception '%', case when master is null then format('%s works on the master only, and this server is a standby', what)
                            else format('run this on the master, which is "%s": this server is a standby', master) end
    using errcode = 'read_only_sql_transaction',
          hint = format('%s writes, and a standby takes no writes; connect to the master and run it there.', what);
end
$$;

comment on function pgkeeper.refuse_on_standby(text) is 'Raises an error naming the master when run on a standby.';
