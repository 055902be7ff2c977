-- Registers a node: the first is the master, each later one a standby that streams from it. All checks come before the first
-- change, so nothing is stored of a refused node, and no message holds anything of the conninfo, nor does the log with the statement.
-- Order of locks: node_info in a mode that keeps out other add_node and del_node but no worker's update, held while the network is
-- asked; then the row of cluster_state; then rows of node_info. A worker takes the last two in the same order.

create function pgkeeper.add_node(node_name text, conninfo text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
set pg_keeper.edit_node_info = 'on'
as $$
declare
  facts     jsonb;
  first     boolean;
  own       text := nullif(current_setting('pg_keeper.node_name', true), '');
  identity  text;
  promotion uuid := gen_random_uuid();
  logged    text := pgkeeper.hide_statement();
  patience  timestamptz := clock_timestamp() + interval '7 s';
  told      boolean := false;
begin
  perform pgkeeper.refuse_on_standby('add_node');
  if conninfo is null or btrim(conninfo) = '' then
    raise exception 'conninfo must not be %', case when conninfo is null then 'NULL' else 'empty' end
      using errcode = case when conninfo is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give a libpq connection string by which every node reaches this one, such as ''host=... port=5432 dbname=... user=...''.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  perform pgkeeper.check_node_name(node_name);
  if exists (select from pgkeeper.wished_names(pgkeeper.sync_wish()) w where w.name = '*') then
    raise exception 'synchronous_standby_names = ''*'' leaves open which nodes must have every commit'
      using errcode = 'invalid_parameter_value', hint = 'List the names of the nodes in synchronous_standby_names, and reload.';
  end if;
  first := not exists (select from pgkeeper.node_info);
  select c.system_identifier into identity from pgkeeper.cluster_state c;
  if not first and identity is distinct from (select c.system_identifier::text from pg_control_system() c) then
    raise exception 'the registry in this database is that of another cluster; it came with a restored dump or a copy'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Empty it with DELETE FROM pgkeeper.node_info; then register the nodes of this cluster, the master first.';
  end if;

  if first and own <> node_name then
    raise exception 'this server is called "%" by its pg_keeper.node_name, not "%"', own, node_name
      using errcode = 'invalid_parameter_value',
            hint = 'Its worker goes by that name. Register it so, or change pg_keeper.node_name first, reload, and start its worker again.';
  end if;

  facts := pgkeeper.server_facts(conninfo);
  -- One that was just started, or lost its stream, tries again after wal_retrieve_retry_interval: 5 s unless somebody set it.
  while not first and (facts ->> 'in_recovery')::boolean and facts -> 'receiver' = 'null' and clock_timestamp() < patience loop
    if not told then
      raise notice 'the server receives no WAL yet; waiting up to 7 s for it';
      told := true;
    end if;
    perform pg_sleep(0.2);
    facts := pgkeeper.server_facts(conninfo);
  end loop;
  if first then
    perform pgkeeper.check_first_node(facts);
  else
    perform pgkeeper.check_standby_node(node_name, conninfo, facts);
  end if;
  if facts ->> 'database' <> current_database() then
    raise exception 'the conninfo leads to another database than the one the registry lives in, which is "%"', current_database()
      using errcode = 'invalid_parameter_value', hint = format('Add dbname=%s to the conninfo.', current_database());
  end if;

  perform from pgkeeper.cluster_state c for update;
  insert into pgkeeper.node_info (name, conninfo, is_master) values (node_name, add_node.conninfo, first);
  perform pgkeeper.refresh_flags();
  if first then
    update pgkeeper.cluster_state c
      set epoch = c.epoch + 1, promotion_id = promotion, system_identifier = facts ->> 'identifier',
          promotions = jsonb_build_array(jsonb_build_object(
            'timeline', ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int, 'id', promotion)),
          master = node_name, voters = pgkeeper.registry_json();
  end if;
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, node_name, 'node-added',
           format('%s was registered as %s', node_name, case when first then 'master' else 'standby' end),
           jsonb_build_object('version', c.version, 'nodes', jsonb_array_length(c.nodes))
    from pgkeeper.cluster_state c;
  perform pgkeeper.show_statement(logged);
  return true;
end
$$;

comment on function pgkeeper.add_node(text, text) is
  'Registers a node: the first is the master and this server, each later one a standby that streams from it under that name.';
