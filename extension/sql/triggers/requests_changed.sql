-- As for node_info: the open request is part of cluster_state.nodes.

create trigger changed after insert or update or delete on pgkeeper.requests
  for each row execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.requests is 'Copies the open request into cluster_state.';
