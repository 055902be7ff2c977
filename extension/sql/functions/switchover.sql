-- Asks the master's worker to hand over to another node. What can be seen from here is checked at once, with nothing stored of a refused
-- request; the rest is the worker's business, and pgkeeper.requests shows what became of it. Order of locks: the row of cluster_state
-- first, so two requests never pass each other.

create function pgkeeper.switchover(target text default null) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
  state  record;
  other  record;
  asked  bigint;
begin
  perform pgkeeper.refuse_on_standby('switchover');
  if target is not null and pgkeeper.check_planned_node('switchover', target) then
    raise exception 'switchover: "%" is the master already', target
      using errcode = 'invalid_parameter_value', hint = 'Name a standby, or nobody: then the best one is taken.';
  end if;
  select c.epoch, c.master into strict state from pgkeeper.cluster_state c for update;
  if state.master is null then
    raise exception 'switchover: no node is registered'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Register the master, then its standbys: SELECT pgkeeper.add_node(...).';
  elsif (select count(*) < 2 from pgkeeper.node_info) then
    raise exception 'switchover: there is no other node to hand over to'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Register a standby: SELECT pgkeeper.add_node(...).';
  end if;
  select r.id, r.kind, r.state into other from pgkeeper.requests r where r.state in ('asked', 'running', 'handing-over');
  if found then
    raise exception 'switchover: another % is under way (request %, %)', other.kind, other.id, other.state
      using errcode = 'object_not_in_prerequisite_state', hint = 'One at a time; pgkeeper.requests shows what becomes of it.';
  end if;
  if target is null and (select c.pause <> 'off' from pgkeeper.cluster_plan c) then
    raise exception 'switchover: the cluster is paused, so no target is chosen by itself'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Name the target, or SELECT pgkeeper.resume() first.';
  end if;
  if not pgkeeper.worker_beside(state.master) then
    raise exception 'switchover: no worker is seen beside the master "%"', state.master
      using errcode = 'object_not_in_prerequisite_state', hint = 'Start it (pgkeeper worker): it is the one who hands over.';
  end if;
  insert into pgkeeper.requests (kind, target, epoch) values ('switchover', switchover.target, state.epoch) returning id into asked;
  return asked;
end
$$;

comment on function pgkeeper.switchover(text) is
  'Asks the workers to make another node master: the named one, or the best. Returns the number of the request; see pgkeeper.requests.';
