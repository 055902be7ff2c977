-- Every change of node_info, by function or by hand: refused, or copied into cluster_state, version raised once for the transaction, workers told.
-- The row is locked first and read then, so that two transactions never compute from the same version.

create function pgkeeper.node_info_changed() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name in ('node_info', 'witness_info') then
    perform pgkeeper.refuse_edit_by_hand(split_part(tg_table_name, '_', 1), tg_op, to_jsonb(old), to_jsonb(new));
  end if;
  perform from pgkeeper.cluster_state c for update;
  update pgkeeper.cluster_state c set nodes = pgkeeper.registry_json(), version = pgkeeper.next_version(c.version);
  return null;
end
$$;

comment on function pgkeeper.node_info_changed() is 'Copies node_info into cluster_state and raises the version.';

create trigger changed after insert or delete on pgkeeper.node_info
  for each row execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.node_info is 'Copies the change into cluster_state.';

create trigger updated after update on pgkeeper.node_info
  for each row when (old is distinct from new) execute function pgkeeper.node_info_changed();

comment on trigger updated on pgkeeper.node_info is 'Copies the change into cluster_state.';

create trigger truncated after truncate on pgkeeper.node_info
  for each statement execute function pgkeeper.node_info_changed();

comment on trigger truncated on pgkeeper.node_info is 'Copies the change into cluster_state.';
