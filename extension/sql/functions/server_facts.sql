-- What add_node and add_witness have to know of a server: asked over dblink, as a worker will later. "same_server" is proof that it is the
-- server this session runs on, not a copy with the same identifier: it sees an advisory lock with a random key held by this backend.

create function pgkeeper.server_facts(conninfo text) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  token    bigint := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;
  own_wait integer := substring(conninfo from 'connect_timeout\s*=\s*''?(\d{1,4})')::integer;
  answer   jsonb;
begin
  perform pg_advisory_xact_lock(token);
  answer := pgkeeper.ask(conninfo, format($query$
    select pg_catalog.json_build_object(
      'identifier', (select c.system_identifier::text from pg_catalog.pg_control_system() c),
      'in_recovery', pg_catalog.pg_is_in_recovery(),
      'database', pg_catalog.current_database(),
      'started', extract(epoch from pg_catalog.pg_postmaster_start_time())::text,
      'port', pg_catalog.current_setting('port'),
      'version', pg_catalog.current_setting('server_version_num')::integer,
      'timeline', case when not pg_catalog.pg_is_in_recovery()
        then ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::integer end,
      'address', coalesce(pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port(), ''),
      'sees_birth', exists (select from pg_catalog.pg_stat_activity a
                            where a.backend_type = 'checkpointer' and a.backend_start is not null),
      'may_keep', case when pg_catalog.to_regclass('pgkeeper_witness.kept') is null
        then pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
        else pg_catalog.has_table_privilege('pgkeeper_witness.kept', 'select')
          and pg_catalog.has_table_privilege('pgkeeper_witness.kept', 'insert')
          and pg_catalog.has_table_privilege('pgkeeper_witness.kept', 'update')
          and pg_catalog.has_table_privilege('pgkeeper_witness.kept', 'delete') end,
      'same_server', exists (select from pg_catalog.pg_locks l
                             where l.locktype = 'advisory' and l.granted and l.pid = %s and l.objsubid = 1
                               and ((l.classid::bigint << 32) | l.objid::bigint) = %s),
      'receiver', (select pg_catalog.json_build_object('status', r.status, 'conninfo', r.conninfo)
                   from pg_catalog.pg_stat_wal_receiver r))::text
    $query$, pg_backend_pid(), token),
    case when own_wait between 1 and 60 then own_wait * 1000 else 5000 end);
  if answer ? 'failure' then
    raise exception 'the server does not answer: %', answer ->> 'failure'
      using errcode = 'connection_failure',
            hint = 'Check the conninfo with psql from the host of this server; it must be reachable from every node.';
  end if;
  return (answer ->> 'answer')::jsonb;
end
$$;

comment on function pgkeeper.server_facts(text) is 'What add_node and add_witness have to know of a server.';
