-- A later node is a standby of this very cluster, streams from this server under its name, and has no other name here.

create function pgkeeper.check_standby_node(node_name text, conninfo text, facts jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  other  record;
  theirs jsonb;
begin
  if (facts ->> 'same_server')::boolean then
    raise exception 'the conninfo leads to this server, which is the master "%"', (select n.name from pgkeeper.node_info n where n.is_master)
      using errcode = 'duplicate_object', hint = 'Give the conninfo of the standby.';
  elsif facts ->> 'identifier' is distinct from (select c.system_identifier::text from pg_control_system() c) then
    raise exception 'the server belongs to another cluster: its system identifier is %, here it is %',
        facts ->> 'identifier', (select c.system_identifier from pg_control_system() c)
      using errcode = 'object_not_in_prerequisite_state', hint = 'Only physical standbys of this server can be nodes; make one with pg_basebackup.';
  elsif not (facts ->> 'in_recovery')::boolean then
    raise exception 'the server is not a standby: it has left recovery and takes writes'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Make it a standby of this server (pg_rewind or pg_basebackup), then try again.';
  elsif facts -> 'receiver' = 'null' then
    raise exception 'the server is a standby but receives no WAL'
      using errcode = 'object_not_in_prerequisite_state',
            hint = format('Set primary_conninfo there, with application_name=%s, and see its log.', node_name);
  elsif facts #>> '{receiver,conninfo}' is null then
    raise exception 'the user of the conninfo may not see under which name the standby streams'
      using errcode = 'insufficient_privilege', hint = 'Grant that user pg_monitor (see deploy/grants.sql).';
  elsif pgkeeper.receiver_name(facts #>> '{receiver,conninfo}') is distinct from node_name then
    raise exception 'the server streams as "%", not as "%"', pgkeeper.receiver_name(facts #>> '{receiver,conninfo}'), node_name
      using errcode = 'object_not_in_prerequisite_state',
            hint = format('Set application_name=%s in its primary_conninfo and reload it, or register it under the name it has.', node_name);
  end if;
  perform pgkeeper.check_streaming(node_name);
  -- A server streams under one name only, so it can hide only behind a node that does not stream now: ask those.
  for other in
    select n.name, n.conninfo from pgkeeper.node_info n
    where not n.is_master
      and not exists (select from pg_stat_replication r where r.application_name = n.name and r.state = 'streaming')
  loop
    theirs := pgkeeper.ask(other.conninfo, 'select pg_catalog.json_build_object(''started'','
      ' extract(epoch from pg_catalog.pg_postmaster_start_time())::text, ''port'', pg_catalog.current_setting(''port''))::text', 2000);
    if (theirs ->> 'answer')::jsonb -> 'started' = facts -> 'started' and (theirs ->> 'answer')::jsonb -> 'port' = facts -> 'port' then
      raise exception 'the server is registered already, as "%"', other.name
        using errcode = 'duplicate_object', hint = format('Remove it under that name first: SELECT pgkeeper.del_node(%L);', other.name);
    end if;
  end loop;
end
$$;

comment on function pgkeeper.check_standby_node(text, text, jsonb) is 'Refuses a later node that is not a streaming standby of this server.';
