-- The facts an election needs, in one row. A standby reads this row while it decides, so nothing may ever lock the table
-- exclusively: no truncation by vacuum, and no migration may alter it (put new facts elsewhere).

create table pgkeeper.cluster_state (
  only_row          boolean     not null default true,
  epoch             bigint      not null default 0,
  version           bigint      not null default 0,
  promotion_id      uuid,
  promotions        jsonb       not null default '[]',
  system_identifier text,
  master            text,
  sync_wish         text        not null default '',
  sync_members      text[]      not null default '{}',
  sync_needed       integer     not null default 0,
  sync_wished       integer     not null default 0,
  voters            jsonb       not null default '[]',
  nodes             jsonb       not null default '[]',
  changed_at        timestamptz not null default now(),
  constraint cluster_state_pkey primary key (only_row),
  constraint cluster_state_only_row_check check (only_row)
) with (fillfactor = 50, vacuum_truncate = off, toast.vacuum_truncate = off);

insert into pgkeeper.cluster_state default values;

comment on table pgkeeper.cluster_state is 'One row: who is master, who votes, who must have every commit. Written by triggers and by the master''s worker.';
comment on column pgkeeper.cluster_state.epoch is '+1 at every change of master.';
comment on column pgkeeper.cluster_state.version is '+1 for every transaction that changes the registry; never goes back.';
comment on column pgkeeper.cluster_state.promotion_id is 'Fresh with every promotion: tells two promotions from the same point apart.';
comment on column pgkeeper.cluster_state.promotions is 'The promotion behind each timeline of this history, oldest first: [{"timeline","id"}].';
comment on column pgkeeper.cluster_state.system_identifier is 'System identifier of the cluster, set by the first add_node.';
comment on column pgkeeper.cluster_state.master is 'Name of the master of this epoch.';
comment on column pgkeeper.cluster_state.sync_wish is 'The user''s synchronous_standby_names as understood by the worker.';
comment on column pgkeeper.cluster_state.sync_members is 'R: the nodes of which sync_needed have every acknowledged commit.';
comment on column pgkeeper.cluster_state.sync_needed is 'k of R; 0 while degraded or off.';
comment on column pgkeeper.cluster_state.sync_wished is 'k of the wish; 0 = synchronous replication is off by wish.';
comment on column pgkeeper.cluster_state.voters is 'Voters in force: [{"name","kind","conninfo","database","seqno"}]; changed one at a time by the master''s worker.';
comment on column pgkeeper.cluster_state.nodes is 'Copy of node_info in the same shape as voters, kept by a trigger: the wish.';
comment on column pgkeeper.cluster_state.changed_at is 'Time of the last change, by the clock of the master of that time.';
