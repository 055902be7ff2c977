-- As for node_info: what is planned for a node is part of cluster_state.nodes.

create trigger changed after insert or update or delete on pgkeeper.node_plan
  for each row execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.node_plan is 'Copies the change into cluster_state.';
