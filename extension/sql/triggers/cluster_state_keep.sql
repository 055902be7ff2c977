-- The one row of cluster_state stays.

create function pgkeeper.cluster_state_keep() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'the row of pgkeeper.cluster_state cannot be removed'
    using errcode = 'object_not_in_prerequisite_state', hint = 'The workers read it; update it instead.';
end
$$;

comment on function pgkeeper.cluster_state_keep() is 'Refuses to empty cluster_state.';

create trigger keep before delete or truncate on pgkeeper.cluster_state
  for each statement execute function pgkeeper.cluster_state_keep();

comment on trigger keep on pgkeeper.cluster_state is 'The one row stays.';
