-- Nobody is promoted or fenced by itself until resume. In force for a master once the row that says so is on a majority.

create function pgkeeper.pause() returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
  state  record;
  before text;
begin
  perform pgkeeper.refuse_on_standby('pause');
  select c.epoch, c.master into strict state from pgkeeper.cluster_state c for update;
  if state.master is null then
    raise exception 'pause: no node is registered, so there is nothing to pause'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Register the master, then its standbys: SELECT pgkeeper.add_node(...).';
  end if;
  select c.pause into strict before from pgkeeper.cluster_plan c;
  if before = 'on' then
    return false;
  end if;
  update pgkeeper.cluster_plan c set pause = 'on';
  insert into pgkeeper.events (epoch, node, code, sentence)
    values (state.epoch, state.master, 'paused', 'the cluster was paused: nobody is promoted or fenced by itself');
  return true;
end
$$;

comment on function pgkeeper.pause() is 'Pauses the cluster: nobody is promoted or fenced by itself. False if it was paused.';
