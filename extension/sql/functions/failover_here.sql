-- The operator's word on a cluster without a master, on the standby that is to take over. It is a lock of this session, which the worker
-- beside this server looks for every second while nobody is master; it counts as long as the session lasts. A standby writes nothing,
-- so there is no other place for it. The class of the lock is also in src/postgres/operator-lock.ts.

create function pgkeeper.failover_here(accept_data_loss boolean default false) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if not pg_is_in_recovery() then
    raise exception 'this server is no standby: it takes writes'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Run this on the standby that is to take over, and only when nobody is master.';
  elsif accept_data_loss is null then
    raise exception 'accept_data_loss must not be NULL' using errcode = 'null_value_not_allowed', hint = 'Say true or false.';
  end if;
  perform pg_advisory_unlock(1885825894, l.objid::integer) from pg_locks l
    where l.pid = pg_backend_pid() and l.locktype = 'advisory' and l.objsubid = 2 and l.classid = 1885825894;
  perform pg_advisory_lock(1885825894, case when accept_data_loss then 2 else 1 end);
  raise notice 'the worker of this server is asked to take over once no master answers; keep this session open until pg_is_in_recovery() is false'
    using hint = 'As long as a master answers, nothing happens: to make this server master then, ask on the master for pgkeeper.switchover. pgkeeper events and the log of the worker say what it does. To take it back, end this session.';
end
$$;

comment on function pgkeeper.failover_here(boolean) is 'Asks the worker of this standby to take over where nobody is master; counts while the session lasts.';
