-- Where this server is in the WAL. A master: its insert position, nothing behind. A standby: what it has replayed, and how far that is
-- behind what it has received. A standby's timeline is the newest of what it streams, must recover to, or has checkpointed.

create function pgkeeper.own_position(out timeline integer, out lsn pg_lsn, out lag_bytes bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if pg_is_in_recovery() then
    timeline := greatest((select r.received_tli from pg_stat_wal_receiver r),
                         (select c.min_recovery_end_timeline from pg_control_recovery() c),
                         (select c.timeline_id from pg_control_checkpoint() c));
    lsn := pg_last_wal_replay_lsn();
    lag_bytes := pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), lsn), lsn);
  else
    lsn := pg_current_wal_lsn();
    timeline := ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::integer;
    lag_bytes := 0;
  end if;
end
$$;

comment on function pgkeeper.own_position() is 'Timeline, position and lag of this server.';
