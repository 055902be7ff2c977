-- As for node_info: copied into cluster_state, version raised once for the transaction, workers told.

create trigger changed after insert or delete or update on pgkeeper.witness_info
  for each row execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.witness_info is 'Copies the change into cluster_state.';

create trigger truncated after truncate on pgkeeper.witness_info
  for each statement execute function pgkeeper.node_info_changed();

comment on trigger truncated on pgkeeper.witness_info is 'Copies the change into cluster_state.';
