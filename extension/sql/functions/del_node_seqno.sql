-- Removes a node by its seqno.

create function pgkeeper.del_node(seqno integer) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select pgkeeper.remove_node(null, seqno) $$;

comment on function pgkeeper.del_node(integer) is 'Removes a node by seqno: true if removed, false if unknown; the master is refused.';
