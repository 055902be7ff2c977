-- One row: what was planned for the whole cluster. Copied into cluster_state.nodes like node_plan.

create table pgkeeper.cluster_plan (
  only_row boolean not null default true,
  pause    text    not null default 'off',
  constraint cluster_plan_pkey primary key (only_row),
  constraint cluster_plan_only_row_check check (only_row),
  constraint cluster_plan_pause_check check (pause in ('off', 'on', 'ending'))
);

insert into pgkeeper.cluster_plan default values;

comment on table pgkeeper.cluster_plan is 'One row: is the cluster paused? Change it through pgkeeper.pause and pgkeeper.resume.';
comment on column pgkeeper.cluster_plan.pause is 'off; on = nobody is promoted or fenced by itself; ending = resume was asked for, the master''s worker ends the pause.';
