-- Registers a witness: any PostgreSQL server that is no member of this cluster. Nothing is installed there; the workers make a table of
-- their own. All checks come before the first change. Order of locks as in add_node.

create function pgkeeper.add_witness(name text, conninfo text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
set pg_keeper.edit_node_info = 'on'
as $$
declare
  facts  jsonb;
  logged text := pgkeeper.hide_statement();
begin
  perform pgkeeper.refuse_on_standby('add_witness');
  if conninfo is null or btrim(conninfo) = '' then
    raise exception 'conninfo must not be %', case when conninfo is null then 'NULL' else 'empty' end
      using errcode = case when conninfo is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give a libpq connection string by which every node reaches the witness, such as ''host=... port=5432 dbname=... user=...''.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  perform pgkeeper.check_node_name(name);
  if (select count(*) < 2 from pgkeeper.node_info) then
    raise exception 'a witness needs two nodes to decide between, and there % registered',
        (select case count(*) when 0 then 'is none' else 'is one' end from pgkeeper.node_info)
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Register the standby first: SELECT pgkeeper.add_node(...). With one node and a witness, the loss of the witness would stop the node.';
  end if;
  facts := pgkeeper.server_facts(conninfo);
  perform pgkeeper.check_witness(facts);

  perform from pgkeeper.cluster_state c for update;
  insert into pgkeeper.witness_info (name, conninfo, database, system_identifier, timeline, address)
    values (add_witness.name, add_witness.conninfo, facts ->> 'database', facts ->> 'identifier', (facts ->> 'timeline')::integer,
            facts ->> 'address');
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, add_witness.name, 'witness-added', format('%s was registered as witness', add_witness.name),
           jsonb_build_object('version', c.version)
    from pgkeeper.cluster_state c;
  perform pgkeeper.show_statement(logged);
  return true;
end
$$;

comment on function pgkeeper.add_witness(text, text) is
  'Registers a witness: any PostgreSQL server that is no member of this cluster; it lends its vote and keeps one row.';
