-- The name a standby streams under, from pg_stat_wal_receiver.conninfo. There values stand without quotes, one blank before each
-- keyword, always in the same order, so that a name may hold blanks and "=". Without application_name the fallback is sent
-- (cluster_name, else "walreceiver").

create function pgkeeper.receiver_name(receiver_conninfo text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    regexp_replace(substring(receiver_conninfo from '(?:^| )application_name=(.*)'), ' fallback_application_name=.*$', ''),
    regexp_replace(substring(receiver_conninfo from '(?:^| )fallback_application_name=(.*)'), ' [a-z_]+=.*$', ''))
$$;

comment on function pgkeeper.receiver_name(text) is 'The application_name of a WAL receiver.';
