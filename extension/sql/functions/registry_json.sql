-- node_info in the shape of cluster_state.voters. The database is where a node's vote is taken; add_node makes sure that every
-- node is reached in the database the registry lives in.

create function pgkeeper.registry_json() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', n.name, 'kind', 'node', 'conninfo', n.conninfo,
                                               'database', current_database(), 'seqno', n.seqno) order by n.seqno), '[]')
  from pgkeeper.node_info n
$$;

comment on function pgkeeper.registry_json() is 'node_info in the shape of cluster_state.voters.';
