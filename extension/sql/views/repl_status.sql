-- How far replication is behind. On the master one row per node, on a standby its own row from what it knows.
--   state            master; else how WAL gets there: streaming, catchup and so on as pg_stat_replication (on the standby itself
--                    pg_stat_wal_receiver) has it; disconnected
--   replication_lag  bytes that the master has written and the standby has not flushed; on the standby itself: of which it has been told
--   apply_lag        bytes that the standby has and has not replayed
--   time_lag         how old the newest is that was replayed; 0 when nothing is behind, so it does not grow while the master is idle. The
--                    master knows it of the last WAL that was replayed; of a replay that stands still only the standby itself knows that
--                    it grows. On a standby without a stream: the time since the last transaction that it has replayed
-- What is not known is NULL. A reader needs pg_monitor.

create view pgkeeper.repl_status as
  select n.name,
         case when here.standby then coalesce(receiver.status, 'disconnected')
              when n.name = here.name then 'master'
              else coalesce(sender.state, 'disconnected') end as state,
         -- greatest() leaves NULL out, so what is not known is asked for first.
         case when here.standby and receiver.latest_end_lsn is not null
              then greatest(pg_catalog.pg_wal_lsn_diff(receiver.latest_end_lsn, here.received), 0)::bigint
              when here.standby then null
              when n.name = here.name then 0
              when sender.flush_lsn is not null
              then greatest(pg_catalog.pg_wal_lsn_diff(here.received, sender.flush_lsn), 0)::bigint end as replication_lag,
         case when here.standby then pg_catalog.pg_wal_lsn_diff(here.received, here.replayed)::bigint
              when n.name = here.name then 0
              when sender.replay_lsn is not null
              then greatest(pg_catalog.pg_wal_lsn_diff(sender.flush_lsn, sender.replay_lsn), 0)::bigint end as apply_lag,
         case when here.standby and receiver.status = 'streaming' and here.replayed >= here.received then interval '0'
              when here.standby then here.replayed_ago
              when n.name = here.name or sender.replay_lsn >= here.received then interval '0'
              else sender.replay_lag end as time_lag
  from pgkeeper.node_info n
  cross join (
    select pgkeeper.own_name() as name,
           r.standby,
           case when r.standby
                then greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
                else pg_catalog.pg_current_wal_lsn() end as received,
           case when r.standby then pg_catalog.pg_last_wal_replay_lsn() end as replayed,
           pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp() as replayed_ago
    from (select pg_catalog.pg_is_in_recovery() as standby offset 0) r offset 0) here
  left join pg_catalog.pg_stat_wal_receiver receiver on here.standby
  left join lateral (
    select r.state, r.flush_lsn, r.replay_lsn, r.replay_lag
    from pg_catalog.pg_stat_replication r
    where r.application_name = n.name and not here.standby
    order by r.state = 'streaming' desc, r.replay_lsn desc
    limit 1) sender on true
  where not here.standby or n.name = here.name
  order by n.seqno;

comment on view pgkeeper.repl_status is 'How far each standby is behind, in bytes not received, bytes not replayed, and time.';
