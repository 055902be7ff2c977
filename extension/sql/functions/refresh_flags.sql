-- is_sync and is_nextmaster by the original's rule: every registered standby named in the wished synchronous_standby_names (names
-- compared ignoring case) is is_sync; the first of them is the preferred next master, else the standby with the lowest seqno.
-- Whether that node is alive is the master's worker's business, which may prefer another one. "*" names nobody.
-- Two updates, because the index allows no two next masters even within one statement.

create function pgkeeper.refresh_flags() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  wish text := pgkeeper.sync_wish();
  next integer;
begin
  select n.seqno into next
    from pgkeeper.node_info n
    left join pgkeeper.wished_names(wish) w on lower(w.name) = lower(n.name)
    where not n.is_master
    order by w.place nulls last, n.seqno
    limit 1;
  update pgkeeper.node_info n set is_nextmaster = false
    where n.is_nextmaster and n.seqno is distinct from next;
  update pgkeeper.node_info n
    set is_nextmaster = coalesce(want.nextmaster, false), is_sync = want.sync
    from (select m.seqno, m.seqno = next as nextmaster,
                 not m.is_master and lower(m.name) in (select lower(w.name) from pgkeeper.wished_names(wish) w) as sync
          from pgkeeper.node_info m) as want
    where want.seqno = n.seqno
      and (n.is_nextmaster, n.is_sync) is distinct from (coalesce(want.nextmaster, false), want.sync);
end
$$;

comment on function pgkeeper.refresh_flags() is 'Sets is_sync and is_nextmaster of all nodes from the wished synchronous_standby_names.';
