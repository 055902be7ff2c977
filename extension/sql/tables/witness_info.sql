-- Witnesses: voters without data. The wish; the voters in force are in cluster_state. Numbered together with the nodes.

create table pgkeeper.witness_info (
  seqno             integer not null default nextval('pgkeeper.node_info_seqno_seq'),
  name              text    not null,
  conninfo          text    not null,
  database          text    not null,
  token             uuid    not null default gen_random_uuid(),
  system_identifier text    not null,
  timeline          integer not null,
  address           text    not null,
  constraint witness_info_pkey primary key (seqno),
  constraint witness_info_name_key unique (name),
  constraint witness_info_name_check check (name <> '' and octet_length(name) <= 63),
  constraint witness_info_conninfo_check check (conninfo <> '')
);

comment on table pgkeeper.witness_info is 'The witnesses of the cluster. Change it through pgkeeper.add_witness and pgkeeper.del_witness.';
comment on column pgkeeper.witness_info.seqno is 'Order of registration, in one row of numbers with the nodes.';
comment on column pgkeeper.witness_info.name is 'Name of the witness; no node has the same.';
comment on column pgkeeper.witness_info.conninfo is 'libpq connection string to the witness, for workers; may hold a password.';
comment on column pgkeeper.witness_info.database is 'Database in which its vote is taken and its row is kept.';
comment on column pgkeeper.witness_info.token is 'Fresh with each add_witness: rows that were kept there before are never read again.';
comment on column pgkeeper.witness_info.system_identifier is 'System identifier of the server that was added; on another one the vote is void.';
comment on column pgkeeper.witness_info.timeline is 'Its timeline when it was added; on another one the vote is void.';
comment on column pgkeeper.witness_info.address is 'Its address and port as it sees them itself; under another one the vote is void. Empty for a local socket.';
