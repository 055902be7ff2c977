-- The registry: one row per node, in the shape users of pg_keeper know. Exactly these six columns in this order.

create table pgkeeper.node_info (
  seqno         serial,
  name          text    not null,
  conninfo      text    not null,
  is_master     boolean not null default false,
  is_nextmaster boolean not null default false,
  is_sync       boolean not null default false,
  constraint node_info_pkey primary key (seqno),
  constraint node_info_name_key unique (name),
  constraint node_info_name_check check (name <> '' and octet_length(name) <= 63),
  constraint node_info_conninfo_check check (conninfo <> '')
);

-- The column value is always true in these two, so each index holds at most one row.
create unique index node_info_one_master on pgkeeper.node_info (is_master) where is_master;
create unique index node_info_one_nextmaster on pgkeeper.node_info (is_nextmaster) where is_nextmaster;

comment on table pgkeeper.node_info is
  'The nodes of the cluster. Change it through pgkeeper.add_node and pgkeeper.del_node; of a row only conninfo may be updated, by the owner; what it leads to is checked by nobody.';
comment on column pgkeeper.node_info.seqno is 'Order of registration; breaks ties; never used again after del_node.';
comment on column pgkeeper.node_info.name is 'Name of the node; equals application_name in its primary_conninfo; 1 to 63 bytes.';
comment on column pgkeeper.node_info.conninfo is 'libpq connection string to the node, for workers; may hold a password.';
comment on column pgkeeper.node_info.is_master is 'The master of the present epoch; at most one row.';
comment on column pgkeeper.node_info.is_nextmaster is 'Preferred next master; at most one row.';
comment on column pgkeeper.node_info.is_sync is 'Named in synchronous_standby_names.';
comment on sequence pgkeeper.node_info_seqno_seq is 'Numbers of node_info.seqno.';
comment on index pgkeeper.node_info_one_master is 'At most one master.';
comment on index pgkeeper.node_info_one_nextmaster is 'At most one next master.';
