-- What was planned for single nodes. Copied into cluster_state.nodes with node_info, so every worker sees it in the row it decides by.

create table pgkeeper.node_plan (
  name        text    not null,
  maintenance boolean not null default false,
  priority    integer,
  constraint node_plan_pkey primary key (name),
  constraint node_plan_priority_check check (priority between 0 and 1000000)
);

comment on table pgkeeper.node_plan is 'Maintenance and priority of nodes. Change it through pgkeeper.set_maintenance and pgkeeper.set_priority.';
comment on column pgkeeper.node_plan.name is 'Name of the node.';
comment on column pgkeeper.node_plan.maintenance is 'No candidate, and its worker neither starts nor rejoins its server.';
comment on column pgkeeper.node_plan.priority is 'In place of pg_keeper.priority of that server; NULL = the setting counts.';
