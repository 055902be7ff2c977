-- Makes (or completes) a role for the workers that is not superuser. PostgreSQL 15 and newer; on 14 a worker needs a superuser, because
-- ALTER SYSTEM cannot be granted there. Run it once, on the master, in the database the registry lives in, after
-- CREATE EXTENSION pg_keeper (or `pgkeeper migrate`); roles and grants reach the standbys by replication:
--
--   psql -d DBNAME -v role=pgkeeper -f grants.sql
--   psql -d DBNAME -c '\password pgkeeper'
--
-- Without psql: run SET pg_keeper.grant_to = 'pgkeeper'; in any client, then, in the same session, the DO statement below as it is.
--
-- The role's conninfo in node_info then needs the password, because dblink lets a role that is not superuser connect only with a
-- password, given in the conninfo and asked for by the other server (scram-sha-256 in its pg_hba.conf). Where the servers authenticate
-- each other by certificate, peer, trust or a password file, add -v without_password=1 (SET pg_keeper.grant_without_password = on;):
-- that grants dblink_connect_u. Mind what it means: the role may then connect to any server as the operating system user of the
-- database server could. pgkeeper's own functions use it only for the conninfo they are given, and may be called by nobody but the
-- roles granted here.
--
-- This role can make itself master of the cluster, read every file of the server and re-point its replication. Guard its password
-- like the superuser's; what it cannot do is end the sessions of superusers.

\set ON_ERROR_STOP on
\if :{?role}
  select set_config('pg_keeper.grant_to', :'role', false) \g /dev/null
\endif
\if :{?without_password}
  select set_config('pg_keeper.grant_without_password', 'on', false) \g /dev/null
\endif

-- Plain SQL from here on. %1$s is the role, %2$s the schema of dblink, both quoted.
do $do$
declare
  given     text    := nullif(current_setting('pg_keeper.grant_to', true), '');
  version   integer := current_setting('server_version_num')::integer;
  dblink    text    := (select quote_ident(n.nspname) from pg_catalog.pg_extension e
                        join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'dblink');
  statement text;
begin
  if given is null then
    raise exception 'give the role: psql -v role=pgkeeper -f grants.sql';
  elsif version < 150000 then
    raise exception 'PostgreSQL 14 cannot grant ALTER SYSTEM: let the workers connect as a superuser';
  elsif dblink is null or to_regclass('pgkeeper.node_info') is null then
    raise exception 'the pgkeeper objects are not in this database: CREATE EXTENSION pg_keeper CASCADE, or pgkeeper migrate, comes first';
  end if;
  if not exists (select from pg_catalog.pg_roles r where r.rolname = given) then
    execute format('create role %I', given);
  end if;

  foreach statement in array array[
    -- pg_basebackup, standbys' own connections and replication slots
    'alter role %1$s login replication',

    -- see who streams, every worker's session, all settings
    'grant pg_monitor to %1$s',
    -- end client sessions before a promotion or when fencing
    'grant pg_signal_backend to %1$s',
    -- make the new timeline visible to pg_rewind at once
    'grant pg_checkpoint to %1$s',
    -- get in when every ordinary connection is taken (reserved_connections)
    case when version >= 160000 then 'grant pg_use_reserved_connections to %1$s' end,

    -- the registry
    'grant usage on schema pgkeeper to %1$s',
    'grant select, insert, update, delete on pgkeeper.node_info, pgkeeper.witness_info, pgkeeper.events, pgkeeper.node_state,
       pgkeeper.requests, pgkeeper.node_plan to %1$s',
    'grant select, update on pgkeeper.cluster_state, pgkeeper.cluster_plan to %1$s',
    'grant select on pgkeeper.status, pgkeeper.repl_status to %1$s',
    'grant usage, select, update on all sequences in schema pgkeeper to %1$s',
    'grant execute on all functions in schema pgkeeper to %1$s',

    -- polling through other nodes
    case when current_setting('pg_keeper.grant_without_password', true) = 'on'
      then 'grant execute on function %2$s.dblink_connect_u(text, text) to %1$s' end,

    -- promote, re-point, hold and release synchronous commits
    'grant execute on function pg_catalog.pg_promote(boolean, integer) to %1$s',
    'grant execute on function pg_catalog.pg_reload_conf() to %1$s',
    'grant execute on function pg_catalog.pg_wal_replay_pause(), pg_catalog.pg_wal_replay_resume() to %1$s',
    'grant alter system on parameter synchronous_standby_names, primary_conninfo, primary_slot_name, wal_retrieve_retry_interval to %1$s',
    -- take the mark off a former master that follows again
    'grant alter system on parameter pg_keeper.fenced to %1$s',
    -- keep a conninfo out of the log when a function that is called with it fails
    'grant set on parameter log_min_error_statement to %1$s',

    -- read pg_keeper.* from the configuration files
    'grant select on pg_catalog.pg_file_settings to %1$s',
    'grant execute on function pg_catalog.pg_show_all_file_settings() to %1$s',

    -- copy a server without pg_basebackup
    'grant execute on function pg_catalog.pg_backup_start(text, boolean), pg_catalog.pg_backup_stop(boolean) to %1$s',

    -- be the source of pg_rewind
    'grant execute on function pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean),
       pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) to %1$s'
  ] loop
    continue when statement is null;
    execute format(statement, quote_ident(given), dblink);
  end loop;
end
$do$;
