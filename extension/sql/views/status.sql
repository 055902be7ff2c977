-- The cluster as this server knows it, without asking anybody, so it works on an isolated standby too. What this server cannot know is NULL.
--   state      what the node's worker says of itself in the application_name of its session here ('pgk STATE NAME', cut at 63
--              bytes); no session: unreachable, seen from here
--   timeline, lsn, lag_bytes   this server: measured now; on the master also its streaming standbys (replayed position)
--   since      since when the state holds, if it is the one last reported to the master
--   lease      whose worker holds this server's vote; for this server's row only
-- Of a witness only the name is known here; whether it answers, and who holds its vote, is what `pgkeeper status` asks it.
-- A reader needs pg_monitor: without it the sessions of others look empty and every node unreachable. All grants: docs/operations.md, Monitoring.

create view pgkeeper.status as
  select s.name, s.role, s.state, s.is_nextmaster, s.is_sync, s.timeline, s.lsn, s.lag_bytes, s.since, s.lease
  from (
  select n.seqno,
         n.name,
         case when n.is_master then 'master' else 'standby' end as role,
         coalesce(worker.state, 'unreachable') as state,
         n.is_nextmaster,
         n.is_sync,
         case when n.name = here.name or stream.state = 'streaming' then here.timeline end as timeline,
         case when n.name = here.name then here.lsn else stream.replay_lsn end as lsn,
         case when n.name = here.name then here.lag_bytes
              when stream.replay_lsn is not null
              then greatest(pg_catalog.pg_wal_lsn_diff(here.lsn, stream.replay_lsn), 0)::bigint end as lag_bytes,
         known.since,
         case when n.name = here.name then pgkeeper.vote_holder() end as lease
  from pgkeeper.node_info n
  cross join (select pgkeeper.own_name() as name, p.timeline, p.lsn, p.lag_bytes
              from pgkeeper.own_position() p offset 0) here
  left join lateral (
    select pg_catalog.split_part(a.application_name, ' ', 2) as state
    from pg_catalog.pg_stat_activity a
    where a.application_name like 'pgk %'
      and pg_catalog.left('pgk ' || pg_catalog.split_part(a.application_name, ' ', 2) || ' ' || n.name, 63) = a.application_name
    order by a.backend_start desc
    limit 1) worker on true
  left join lateral (
    select r.state, r.replay_lsn
    from pg_catalog.pg_stat_replication r
    where r.application_name = n.name and not pg_catalog.pg_is_in_recovery()
    order by r.state = 'streaming' desc, r.replay_lsn desc
    limit 1) stream on true
  left join pgkeeper.node_state known on known.name = n.name and known.state = coalesce(worker.state, 'unreachable')
  union all
  select w.seqno, w.name, 'witness' as role, 'witness' as state, false as is_nextmaster, false as is_sync, null::integer as timeline,
         null::pg_lsn as lsn, null::bigint as lag_bytes, null::timestamptz as since, null::text as lease
  from pgkeeper.witness_info w) s
  order by s.seqno;

comment on view pgkeeper.status is 'The cluster as this server knows it, one row per node and witness; asks nobody.';
