-- Who holds this server's vote: the advisory lock whose key is the system identifier. The node's name if a worker holds it.

create function pgkeeper.vote_holder() returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select n.name from pgkeeper.node_info n
                   where left('pgk ' || split_part(a.application_name, ' ', 2) || ' ' || n.name, 63) = a.application_name
                   order by n.seqno limit 1),
                  a.application_name)
  from pg_locks l join pg_stat_activity a using (pid)
  where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
    and ((l.classid::bigint << 32) | l.objid::bigint) = (select c.system_identifier from pg_control_system() c)
  limit 1
$$;

comment on function pgkeeper.vote_holder() is 'Name of the node whose worker holds this server''s vote.';
