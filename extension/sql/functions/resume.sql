-- Ends a pause. On the master: asks its worker, which ends it once it holds its votes, so a master never comes out of a pause without them.
-- On a standby there is nothing to write; where the master is gone the word of this session counts for as long as it lasts, as a shared
-- lock that the worker here sees. With synchronous replication off the former master could still acknowledge commits somewhere out of
-- sight, since nobody fences it in a pause: that it is down only its people can know.

create function pgkeeper.resume(master_is_down boolean default false) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
  state  record;
  before text;
begin
  if master_is_down is null then
    raise exception 'resume: master_is_down must not be NULL' using errcode = 'null_value_not_allowed', hint = 'Give true or false.';
  end if;
  select c.pause into strict before from pgkeeper.cluster_plan c;
  if before = 'off' then
    return false;
  end if;
  if not pg_is_in_recovery() then
    perform from pgkeeper.cluster_state c for update;
    update pgkeeper.cluster_plan c set pause = 'ending' where c.pause = 'on';
    return true;
  end if;
  select c.master, c.sync_needed, n.conninfo into strict state
    from pgkeeper.cluster_state c join pgkeeper.node_info n on n.name = c.master;
  if pgkeeper.indirect_polling(state.conninfo) then
    perform pgkeeper.refuse_on_standby('resume');
  elsif state.sync_needed = 0 and not master_is_down then
    raise exception 'resume: the master "%" does not answer, and as synchronous replication is not in force it may still acknowledge commits',
        state.master
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'A paused master is not fenced when it is cut off. Make sure that it is down, then: SELECT pgkeeper.resume(master_is_down => true).';
  end if;
  perform pg_advisory_lock_shared(1885825904, 1);
  return true;
end
$$;

comment on function pgkeeper.resume(boolean) is
  'Ends a pause; false if there is none. On a standby whose master is gone it counts for as long as the session lasts.';
