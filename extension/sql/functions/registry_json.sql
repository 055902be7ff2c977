-- node_info and witness_info in the shape of cluster_state.voters. The database is where a vote is taken; add_node makes sure that
-- every node is reached in the database the registry lives in.

create function pgkeeper.registry_json() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(v.voter order by v.seqno), '[]')
  from (select n.seqno, jsonb_build_object('name', n.name, 'kind', 'node', 'conninfo', n.conninfo,
                                           'database', current_database(), 'seqno', n.seqno) as voter
        from pgkeeper.node_info n
        union all
        select w.seqno, jsonb_build_object('name', w.name, 'kind', 'witness', 'conninfo', w.conninfo,
                                           'database', w.database, 'seqno', w.seqno,
                                           'identity', jsonb_build_object('token', w.token, 'systemIdentifier', w.system_identifier,
                                                                          'timeline', w.timeline, 'address', w.address))
        from pgkeeper.witness_info w) v
$$;

comment on function pgkeeper.registry_json() is 'node_info and witness_info in the shape of cluster_state.voters.';
