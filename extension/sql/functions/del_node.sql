-- Removes a node by its name; the name is compared exactly.

create function pgkeeper.del_node(node_name text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select pgkeeper.remove_node(node_name, null) $$;

comment on function pgkeeper.del_node(text) is 'Removes a node by name: true if removed, false if unknown; the master is refused.';
