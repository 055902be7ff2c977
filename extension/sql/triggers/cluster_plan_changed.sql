-- As for node_info: whether the cluster is paused is part of cluster_state.nodes.

create trigger changed after update on pgkeeper.cluster_plan
  for each row when (old is distinct from new) execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.cluster_plan is 'Copies the change into cluster_state.';
