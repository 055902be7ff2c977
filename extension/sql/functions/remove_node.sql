-- Takes a node out of the registry; the two forms of del_node find it. The server itself runs on, its worker stops managing it.
-- Order of locks as in add_node.

create function pgkeeper.remove_node(wanted_name text, wanted_seqno integer) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
set pg_keeper.edit_node_info = 'on'
as $$
declare
  node record;
begin
  perform pgkeeper.refuse_on_standby('del_node');
  if wanted_name is null and wanted_seqno is null then
    raise exception 'the node to remove must not be NULL'
      using errcode = 'null_value_not_allowed', hint = 'Give its name or its seqno, as in pgkeeper.node_info.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  -- Before any row is locked: the commit of a transaction that has locked one waits for standbys, which may be gone for long.
  if not exists (select from pgkeeper.node_info n where n.name = wanted_name or n.seqno = wanted_seqno) then
    return false;
  end if;
  perform from pgkeeper.cluster_state c for update;
  select n.seqno, n.name, n.is_master into node
    from pgkeeper.node_info n where n.name = wanted_name or n.seqno = wanted_seqno
    for update;
  if not found then
    return false;
  -- Whom the workers keep counts as well: is_master may be wrong, by a hand that was let through.
  elsif node.is_master or node.name = (select c.master from pgkeeper.cluster_state c) then
    raise exception 'node "%" is the master and cannot be removed', node.name
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Make another node master first; to give up the registry altogether: DROP EXTENSION pg_keeper, or pgkeeper migrate --down.';
  end if;
  delete from pgkeeper.node_info n where n.seqno = node.seqno;
  delete from pgkeeper.node_state s where s.name = node.name;
  delete from pgkeeper.node_plan p where p.name = node.name;
  perform pgkeeper.refresh_flags();
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, node.name, 'node-removed', format('%s was removed from the registry', node.name),
           jsonb_build_object('version', c.version, 'nodes', jsonb_array_length(c.nodes))
    from pgkeeper.cluster_state c;
  return true;
end
$$;

comment on function pgkeeper.remove_node(text, integer) is 'Takes a node out of the registry; use del_node.';
