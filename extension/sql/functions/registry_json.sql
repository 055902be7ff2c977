-- node_info and witness_info in the shape of cluster_state.voters. The database is where a vote is taken; add_node makes sure that
-- every node is reached in the database the registry lives in. What is planned is there only where something is: maintenance and
-- priority of a node, the pause in every node, the open request in that of the master.

create function pgkeeper.registry_json() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(v.voter order by v.seqno), '[]')
  from (select n.seqno, jsonb_build_object('name', n.name, 'kind', 'node', 'conninfo', n.conninfo,
                                           'database', current_database(), 'seqno', n.seqno)
                        || jsonb_strip_nulls(jsonb_build_object(
                             'maintenance', nullif(p.maintenance, false), 'priority', p.priority,
                             'pause', (select nullif(c.pause, 'off') from pgkeeper.cluster_plan c)))
                        || coalesce((select jsonb_build_object('request', jsonb_build_object(
                                              'id', r.id, 'kind', r.kind, 'target', r.target, 'state', r.state, 'epoch', r.epoch))
                                     from pgkeeper.requests r
                                     where n.is_master and r.state in ('asked', 'running', 'handing-over')), '{}') as voter
        from pgkeeper.node_info n
        left join pgkeeper.node_plan p on p.name = n.name
        union all
        select w.seqno, jsonb_build_object('name', w.name, 'kind', 'witness', 'conninfo', w.conninfo,
                                           'database', w.database, 'seqno', w.seqno,
                                           'identity', jsonb_build_object('token', w.token, 'systemIdentifier', w.system_identifier,
                                                                          'timeline', w.timeline, 'address', w.address))
        from pgkeeper.witness_info w) v
$$;

comment on function pgkeeper.registry_json() is 'node_info and witness_info in the shape of cluster_state.voters, with what is planned for them.';
