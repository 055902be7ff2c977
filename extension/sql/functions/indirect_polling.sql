-- The form users of pg_keeper know, bounded by pg_keeper.keepalive_time.

create function pgkeeper.indirect_polling(conninfo text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select pgkeeper.indirect_polling(conninfo, pgkeeper.setting_ms('pg_keeper.keepalive_time',
                                                                 pgkeeper.setting_ms('pg_keeper.keepalives_time', 5000)))
$$;

comment on function pgkeeper.indirect_polling(text) is 'True if the given server answers SELECT 1 within pg_keeper.keepalive_time; works on standbys.';
