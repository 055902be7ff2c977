-- Makes (or completes) a role for the workers that is not superuser. PostgreSQL 15 and newer; on 14 a worker needs a superuser, because
-- ALTER SYSTEM cannot be granted there. Run it once, on the master, in the database the registry lives in, after
-- CREATE EXTENSION pg_keeper (or `pgkeeper migrate`); roles and grants reach the standbys by replication:
--
--   psql -d DBNAME -v role=pgkeeper -f grants.sql
--   psql -d DBNAME -c '\password pgkeeper'
--
-- The role's conninfo in node_info then needs the password, because dblink lets a role that is not superuser connect only with a
-- password, given in the conninfo and asked for by the other server (scram-sha-256 in its pg_hba.conf). Where the servers authenticate
-- each other by certificate, peer, trust or a password file, add -v without_password=1: that grants dblink_connect_u. Mind what it
-- means: the role may then connect to any server as the operating system user of the database server could. pgkeeper's own functions
-- use it only for the conninfo they are given, and may be called by nobody but the roles granted here.
--
-- This role can make itself master of the cluster, read every file of the server and re-point its replication. Guard its password
-- like the superuser's; what it cannot do is end the sessions of superusers.

\set ON_ERROR_STOP on
\if :{?role}
\else
  do $$ begin raise exception 'give the role: psql -v role=pgkeeper -f grants.sql'; end $$;
\endif

select current_setting('server_version_num')::integer >= 150000 as at_least_15,
       current_setting('server_version_num')::integer >= 160000 as at_least_16,
       not exists (select from pg_catalog.pg_roles where rolname = :'role') as role_missing,
       (select quote_ident(n.nspname) from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'dblink') as dblink_schema
\gset
\if :at_least_15
\else
  do $$ begin raise exception 'PostgreSQL 14 cannot grant ALTER SYSTEM: let the workers connect as a superuser'; end $$;
\endif

begin;

\if :role_missing
  create role :"role";
\endif
-- replication: pg_basebackup, standbys' own connections and replication slots
alter role :"role" login replication;

-- see who streams, every worker's session, all settings
grant pg_monitor to :"role";
-- end client sessions before a promotion or when fencing
grant pg_signal_backend to :"role";
-- make the new timeline visible to pg_rewind at once
grant pg_checkpoint to :"role";
\if :at_least_16
  -- get in when every ordinary connection is taken (reserved_connections)
  grant pg_use_reserved_connections to :"role";
\endif

-- the registry
grant usage on schema pgkeeper to :"role";
grant select, insert, update, delete on pgkeeper.node_info, pgkeeper.events, pgkeeper.node_state to :"role";
grant select, update on pgkeeper.cluster_state to :"role";
grant select on pgkeeper.status to :"role";
grant usage, select on all sequences in schema pgkeeper to :"role";
grant execute on all functions in schema pgkeeper to :"role";

-- polling through other nodes
\if :{?without_password}
  grant execute on function :dblink_schema.dblink_connect_u(text, text) to :"role";
\endif

-- promote, re-point, hold and release synchronous commits
grant execute on function pg_catalog.pg_promote(boolean, integer) to :"role";
grant execute on function pg_catalog.pg_reload_conf() to :"role";
grant execute on function pg_catalog.pg_wal_replay_pause(), pg_catalog.pg_wal_replay_resume() to :"role";
grant alter system on parameter synchronous_standby_names, primary_conninfo, primary_slot_name, wal_retrieve_retry_interval to :"role";

-- read pg_keeper.* from the configuration files
grant select on pg_catalog.pg_file_settings to :"role";
grant execute on function pg_catalog.pg_show_all_file_settings() to :"role";

-- copy a server without pg_basebackup
grant execute on function pg_catalog.pg_backup_start(text, boolean), pg_catalog.pg_backup_stop(boolean) to :"role";

-- be the source of pg_rewind
grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean),
  pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to :"role";

commit;
