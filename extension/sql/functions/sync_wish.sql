-- What the user wants synchronous_standby_names to be: as the master's worker understood it, else what the server has. The
-- worker's own override, the name nobody has, is not a wish.

create function pgkeeper.sync_wish() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select nullif(btrim(c.sync_wish), '') from pgkeeper.cluster_state c),
                  case when current_setting('synchronous_standby_names') ~ '(^|[^A-Za-z0-9_$])pgkeeper_hold($|[^A-Za-z0-9_$])' then ''
                       else current_setting('synchronous_standby_names') end)
$$;

comment on function pgkeeper.sync_wish() is 'The wished synchronous_standby_names.';
