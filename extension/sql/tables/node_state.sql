-- The last known state of each worker, written through the master, so that every node can say since when it holds.

create table pgkeeper.node_state (
  name        text        not null,
  state       text        not null,
  since       timestamptz not null default now(),
  reported_at timestamptz not null default now(),
  constraint node_state_pkey primary key (name)
);

comment on table pgkeeper.node_state is 'Last reported state of each node''s worker.';
comment on column pgkeeper.node_state.name is 'Name of the node.';
comment on column pgkeeper.node_state.state is 'State as in the status view, such as standby:connected.';
comment on column pgkeeper.node_state.since is 'When the worker entered that state.';
comment on column pgkeeper.node_state.reported_at is 'When it was last reported.';
