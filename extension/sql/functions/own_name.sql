-- The node this server is: the setting; else, on a server that takes writes, the registered master; else the name under which it
-- streams. For display only: any session may set the setting.

create function pgkeeper.own_name() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(nullif(current_setting('pg_keeper.node_name', true), ''),
                  case when pg_is_in_recovery()
                       then (select pgkeeper.receiver_name(r.conninfo) from pg_stat_wal_receiver r)
                       else (select n.name from pgkeeper.node_info n where n.is_master) end)
$$;

comment on function pgkeeper.own_name() is 'Name of the node this server is, for display.';
