-- Waits up to 7 s until a standby streams from this server under the given name: one that was just started or reconnects
-- (after wal_retrieve_retry_interval, 5 s unless set) must not be refused for it.

create function pgkeeper.check_streaming(node_name text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deadline timestamptz := clock_timestamp() + interval '7 s';
  streams  bigint;
  present  text;
begin
  loop
    perform pg_stat_clear_snapshot(); -- else every look in this transaction shows the same
    select count(*) filter (where r.state = 'streaming'),
           string_agg(distinct coalesce(r.state, 'state hidden from this role'), ', ')
      into streams, present
      from pg_stat_replication r where r.application_name = node_name;
    exit when streams > 0 or clock_timestamp() >= deadline;
    perform pg_sleep(0.05);
  end loop;
  if streams = 1 then
    return;
  elsif streams > 1 then
    raise exception '% servers stream from this server as "%"', streams, node_name
      using errcode = 'object_not_in_prerequisite_state', hint = 'Give each standby an application_name of its own in primary_conninfo.';
  elsif not pg_has_role('pg_read_all_stats', 'usage') then
    raise exception 'this role may not see who streams from this server'
      using errcode = 'insufficient_privilege', hint = 'Grant it pg_monitor.';
  elsif present is not null then
    raise exception 'node "%" is connected to this server but does not stream yet (%)', node_name, present
      using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until pg_stat_replication shows state = streaming, then try again.';
  end if;
  raise exception 'no standby streams from this server as "%"', node_name
    using errcode = 'object_not_in_prerequisite_state',
          hint = format('On the standby: ALTER SYSTEM SET primary_conninfo = ''... application_name=%s''; SELECT pg_reload_conf(); it must stream from this server directly.', node_name);
end
$$;

comment on function pgkeeper.check_streaming(text) is 'Refuses a name under which no standby streams from this server.';
