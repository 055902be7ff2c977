-- cluster_state only moves forward: epoch and version never fall, and a change raises the version by one if the writer has not.
-- The transaction does not wait for standbys at its commit: it would hold this row meanwhile, and the worker that must write here
-- to end such a wait would wait for it.

create function pgkeeper.cluster_state_forward() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.epoch < old.epoch or new.version < old.version then
    raise exception 'cluster_state moves forward only: epoch % version % cannot follow epoch % version %',
        new.epoch, new.version, old.epoch, old.version
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if new.version = old.version and new is distinct from old then
    new.version := pgkeeper.next_version(old.version);
  elsif new.version > old.version then
    perform pgkeeper.next_version(old.version); -- the writer has raised it; the rest of the transaction need not
  end if;
  new.changed_at := clock_timestamp();
  if current_setting('synchronous_commit') not in ('off', 'local') then
    perform set_config('synchronous_commit', 'local', true);
  end if;
  return new;
end
$$;

comment on function pgkeeper.cluster_state_forward() is 'Keeps epoch and version of cluster_state from falling, and raises the version.';

create trigger forward before update on pgkeeper.cluster_state
  for each row execute function pgkeeper.cluster_state_forward();

comment on trigger forward on pgkeeper.cluster_state is 'Epoch and version only move forward.';
