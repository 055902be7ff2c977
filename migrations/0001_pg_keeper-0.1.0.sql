-- Generated from extension/sql by scripts/make-migrations.mjs; change the parts, not this file.

-- Up Migration

create extension if not exists dblink;

-- The schema of every object of pgkeeper.

create schema pgkeeper;

comment on schema pgkeeper is 'Registry of a failover cluster kept by pgkeeper. Nothing here is granted to PUBLIC.';

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
  'The nodes of the cluster. Change it through pgkeeper.add_node and pgkeeper.del_node; a direct edit is the owner''s last resort, it is checked by nobody.';
comment on column pgkeeper.node_info.seqno is 'Order of registration; breaks ties; never used again after del_node.';
comment on column pgkeeper.node_info.name is 'Name of the node; equals application_name in its primary_conninfo; 1 to 63 bytes.';
comment on column pgkeeper.node_info.conninfo is 'libpq connection string to the node, for workers; may hold a password.';
comment on column pgkeeper.node_info.is_master is 'The master of the present epoch; at most one row.';
comment on column pgkeeper.node_info.is_nextmaster is 'Preferred next master; at most one row.';
comment on column pgkeeper.node_info.is_sync is 'Named in synchronous_standby_names.';
comment on sequence pgkeeper.node_info_seqno_seq is 'Numbers of node_info.seqno.';
comment on index pgkeeper.node_info_one_master is 'At most one master.';
comment on index pgkeeper.node_info_one_nextmaster is 'At most one next master.';

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

-- What happened, when, to which node and why. Never holds a conninfo.

create table pgkeeper.events (
  id       bigint      not null generated by default as identity,
  at       timestamptz not null default clock_timestamp(),
  epoch    bigint      not null,
  node     text        not null,
  code     text        not null,
  sentence text        not null,
  details  jsonb       not null default '{}',
  constraint events_pkey primary key (id)
);

comment on table pgkeeper.events is 'History of the cluster: one row per decision.';
comment on column pgkeeper.events.id is 'Order of writing.';
comment on column pgkeeper.events.at is 'Wall time of the node that saw it.';
comment on column pgkeeper.events.epoch is 'Epoch in which it happened.';
comment on column pgkeeper.events.node is 'Name of the node it happened to.';
comment on column pgkeeper.events.code is 'Reason code, the same as in the log.';
comment on column pgkeeper.events.sentence is 'The reason in words.';
comment on column pgkeeper.events.details is 'The numbers behind it.';
comment on sequence pgkeeper.events_id_seq is 'Numbers of events.id.';

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

-- Which version of the objects is installed, whichever way they came.

create function pgkeeper.version() returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select '0.1.0'::text $$;

comment on function pgkeeper.version() is 'Version of these objects.';

-- A duration from a setting that no library has declared: '250us', '500ms', '5s', '1min', '1h', '1d', a bare number is seconds,
-- as the worker reads it.
-- A value that cannot be read gives the fallback: a probe must not fail because of a typing error; `pgkeeper check` reports it.

create function pgkeeper.setting_ms(setting text, fallback_ms integer) returns integer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  part text[] := regexp_match(btrim(current_setting(setting, true)), '^(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})\s*(us|ms|s|min|h|d)?$');
  ms   numeric;
begin
  if part is null then
    return fallback_ms;
  end if;
  ms := part[1]::numeric * case part[2] when 'us' then 0.001 when 'ms' then 1 when 'min' then 60000 when 'h' then 3600000
                                        when 'd' then 86400000 else 1000 end;
  return case when ms between 1 and 2147483647 then round(ms)::integer else fallback_ms end;
end
$$;

comment on function pgkeeper.setting_ms(text, integer) is 'The duration a setting holds, in milliseconds.';

-- A conninfo with a value for one keyword that its own text may overrule: libpq takes the last of two equal keywords, so
-- putting ours first needs no parsing and cannot spoil what follows. In a URI the first "?" after the user's part begins the
-- keywords. The value must need no quoting.

create function pgkeeper.conninfo_default(conninfo text, keyword text, value text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  part text[];
begin
  if conninfo !~ '^postgres(ql)?://' then
    return keyword || '=' || value || ' ' || conninfo;
  end if;
  part := regexp_match(conninfo, '^(postgres(?:ql)?://(?:[^@/]*@)?[^?]*)(?:\?(.*))?$');
  return part[1] || '?' || keyword || '=' || value || coalesce('&' || nullif(part[2], ''), '');
end
$$;

comment on function pgkeeper.conninfo_default(text, text, text) is 'The conninfo with a default put before it.';

-- A conninfo with one more keyword that overrules its own text. NULL where text cannot be added behind it: after an empty value
-- ("password=") libpq would take our keyword for that value, and a backslash at the end would swallow the blank.

create function pgkeeper.conninfo_override(conninfo text, keyword text, value text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if conninfo ~ '^postgres(ql)?://' then
    -- Only what occurs in addresses and names needs encoding; anything else in the value is not for a URI.
    return conninfo
      || case when substring(conninfo from '^postgres(?:ql)?://(?:[^@/]*@)?(.*)$') like '%?%' then '&' else '?' end
      || keyword || '='
      || replace(replace(replace(replace(replace(value, '%', '%25'), '/', '%2F'), ' ', '%20'), '&', '%26'), '=', '%3D');
  elsif conninfo ~ '[=\\]\s*$' then
    return null;
  end if;
  return conninfo || ' ' || keyword || '=''' || replace(replace(value, '\', '\\'), '''', '\''') || '''';
end
$$;

comment on function pgkeeper.conninfo_override(text, text, text) is 'The conninfo with a value that overrules its own.';

-- Why a connection failed, fit to be shown. libpq's text repeats parts of the connection string, for a string it cannot read
-- even parts of a password. So only lines of a known shape are let through, without the address before the reason, and with
-- everything in quotation marks masked (user, database, host); any other text is withheld.

create function pgkeeper.connection_failure(state text, detail text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  reason text;
begin
  if state = '2F003' then
    return 'dblink asks a role that is not superuser for a password in the conninfo, and the server to ask for it';
  end if;
  select string_agg(distinct regexp_replace(regexp_replace(line.text, '^.* failed: (?:[A-Z]+:\s+)?', ''),
                                            '"[^"]*"', '"***"', 'g'), '; ')
    into reason
    from regexp_split_to_table(detail, '\n') as line(text)
    where line.text ~ '^connection to server .* failed: '
       or line.text ~ '^could not translate host name ';
  return coalesce(nullif(reason, ''), 'libpq does not accept the connection string, or its reason is withheld because it may repeat it');
end
$$;

comment on function pgkeeper.connection_failure(text, text) is 'Why a connection failed, without any value of the conninfo.';

-- dblink may live in any schema. It is looked up instead of trusted to a search_path, where somebody else could stand in for it.

create function pgkeeper.dblink_schema() returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_schema text;
begin
  select quote_ident(n.nspname) into found_schema
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'dblink';
  if found_schema is null then
    raise exception 'the extension dblink is not installed in this database'
      using errcode = 'undefined_object', hint = 'Run CREATE EXTENSION dblink; on the master.';
  end if;
  return found_schema;
end
$$;

comment on function pgkeeper.dblink_schema() is 'Quoted name of the schema dblink lives in.';

-- Opens a named dblink connection and returns its name, which nobody else can have. Who opens must close: dblink's connections
-- outlive a failed transaction.
-- dblink_connect lets a role that is not superuser connect only with a password that the other server really asks for.
-- dblink_connect_u does without; PostgreSQL grants it to nobody, so a role may use it here only when an administrator has
-- granted it that very function (see deploy/grants.sql).

create function pgkeeper.link_open(conninfo text) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  dblink  text := pgkeeper.dblink_schema();
  link    text := 'pgkeeper_' || gen_random_uuid();
  connect text := 'dblink_connect';
begin
  if has_function_privilege(dblink || '.dblink_connect_u(text,text)', 'execute') then
    connect := 'dblink_connect_u';
  end if;
  execute format('select %s.%I($1, $2)', dblink, connect) using link, conninfo;
  return link;
end
$$;

comment on function pgkeeper.link_open(text) is 'Opens a dblink connection; the caller closes it.';

-- Sends one query that gives one text and waits for the answer until the deadline, never longer: a plain dblink() would wait
-- for a frozen server for ever. The waits between looks grow from 1 to 20 ms.

create function pgkeeper.link_answer(link text, query text, deadline timestamptz) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  dblink text := pgkeeper.dblink_schema();
  pause  double precision := 0.001;
  busy   integer;
  answer text;
begin
  execute format('select %s.dblink_send_query($1, $2)', dblink) using link, query;
  loop
    execute format('select %s.dblink_is_busy($1)', dblink) into busy using link;
    exit when busy = 0;
    if clock_timestamp() >= deadline then
      raise exception 'no answer in time' using errcode = 'connection_failure';
    end if;
    perform pg_sleep(pause);
    pause := least(pause * 1.5, 0.02);
  end loop;
  execute format('select a.answer from %s.dblink_get_result($1) as a(answer text)', dblink) into answer using link;
  -- Until it has said that there is nothing more, the connection takes no other query.
  execute format('select a.answer from %s.dblink_get_result($1) as a(answer text)', dblink) using link;
  return answer;
end
$$;

comment on function pgkeeper.link_answer(text, text, timestamptz) is 'The answer to one query over a dblink connection, or an error at the deadline.';

-- Closes a connection of link_open; never fails.

create function pgkeeper.link_close(link text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('select %s.dblink_disconnect($1)', pgkeeper.dblink_schema()) using link;
exception when others then
  null; -- it was closed already, which is all we want
end
$$;

comment on function pgkeeper.link_close(text) is 'Closes a dblink connection of link_open.';

-- Asks a server one query that gives one text, from this very session. Gives {"answer": text} or {"failure": reason}; it does
-- not raise for anything that is wrong with the other server.
-- Bound: before PostgreSQL 16 dblink waits for a connection connect_timeout long, in whole seconds, at least 2, for each address the
-- host name has. From 16 on dblink ignores connect_timeout, and only a cancel ends the wait: statement_timeout of this session
-- (a cancel after the deadline is taken as "no answer"), or ask_through_loopback.

create function pgkeeper.ask_directly(conninfo text, query text, timeout_ms integer) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deadline timestamptz := clock_timestamp() + timeout_ms * interval '1 ms';
  link     text;
  answer   text;
  failure  text;
  state    text;
  detail   text;
begin
  begin
    link := pgkeeper.link_open(pgkeeper.conninfo_default(conninfo, 'connect_timeout', ceil(timeout_ms / 1000.0)::text));
    answer := pgkeeper.link_answer(link, query, deadline);
  exception
    when undefined_object then
      raise; -- dblink is missing here
    when others then
      get stacked diagnostics state = returned_sqlstate, detail = pg_exception_detail;
      failure := case
        when link is null then pgkeeper.connection_failure(state, detail)
        when state like '08%' then 'the connection was lost or gave no answer in time'
        else 'the server answered with an error, SQLSTATE ' || state end;
  end;
  perform pgkeeper.link_close(link);
  return jsonb_strip_nulls(jsonb_build_object('answer', answer, 'failure', failure));
exception when query_canceled then
  perform pgkeeper.link_close(link);
  if clock_timestamp() < deadline then
    raise; -- somebody cancelled us; that says nothing about the server
  end if;
  return jsonb_build_object('failure', 'no answer in time');
end
$$;

comment on function pgkeeper.ask_directly(text, text, integer) is 'One answer of another server, asked from this session.';

-- The ways in which this session may reach its own server, best first, by socket and by TCP: as itself without a password (peer or
-- trust; superusers, and roles that were granted dblink_connect_u), with the user and password of the given conninfo, which hold
-- here too when it leads to a node of the same cluster, and with those of a registered node, in case the given ones are wrong.

create function pgkeeper.loopback_conninfos(conninfo text) returns setof text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  ways   text[];
  folder text;
  host   text;
  there  text;
begin
  if (select r.rolsuper from pg_roles r where r.rolname = current_user)
     or has_function_privilege(pgkeeper.dblink_schema() || '.dblink_connect_u(text,text)', 'execute') then
    ways := array[pgkeeper.conninfo_override('connect_timeout=2', 'user', current_user)];
  end if;
  ways := ways || conninfo;
  if has_table_privilege('pgkeeper.node_info', 'select') then
    ways := ways || (select n.conninfo from pgkeeper.node_info n
                     order by (n.name is not distinct from pgkeeper.own_name()) desc, n.is_master desc limit 1);
  end if;
  begin
    folder := btrim(split_part(current_setting('unix_socket_directories'), ',', 1), ' "');
  exception when insufficient_privilege then
    folder := ''; -- shown to members of pg_read_all_settings only
  end;
  foreach there in array ways loop
    there := pgkeeper.conninfo_override(there, 'hostaddr', '');
    there := pgkeeper.conninfo_override(there, 'port', current_setting('port'));
    there := pgkeeper.conninfo_override(there, 'target_session_attrs', 'any');
    there := pgkeeper.conninfo_override(there, 'sslmode', 'prefer');
    there := pgkeeper.conninfo_override(there, 'dbname', current_database());
    continue when there is null;
    foreach host in array array[folder, coalesce(host(inet_server_addr()), '127.0.0.1')] loop
      continue when host = '';
      return next pgkeeper.conninfo_override(there, 'host', host);
    end loop;
  end loop;
end
$$;

comment on function pgkeeper.loopback_conninfos(text) is 'Connection strings by which this server may reach itself.';

-- Asks a server through a second session of this server, which is given a statement_timeout and can be left behind: from
-- PostgreSQL 16 on nothing else ends dblink's wait for a frozen server. NULL if no second session can be had.
-- The conninfo goes there as a session setting, so that the statement which may be cancelled, and then be logged with its text,
-- does not hold it.

create function pgkeeper.ask_through_loopback(conninfo text, query text, timeout_ms integer) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deadline timestamptz := clock_timestamp() + (timeout_ms + 500) * interval '1 ms';
  here     text;
  link     text;
  answer   text;
begin
  for here in select c from pgkeeper.loopback_conninfos(conninfo) as c loop
    begin
      link := null;
      link := pgkeeper.link_open(here);
      answer := pgkeeper.link_answer(link, format(
        'select (has_function_privilege(''pgkeeper.ask_directly(text,text,integer)'', ''execute'')'
        ' and set_config(''statement_timeout'', %L, false) is not null'
        ' and set_config(''pg_keeper.asked_conninfo'', %L, false) is not null'
        ' and set_config(''pg_keeper.asked_query'', %L, false) is not null)::text',
        timeout_ms, conninfo, query), deadline);
      exit when answer = 'true';
      perform pgkeeper.link_close(link);
    exception
      when query_canceled then
        perform pgkeeper.link_close(link);
        raise;
      when others then
        perform pgkeeper.link_close(link);
        answer := null;
    end;
  end loop;
  if answer is distinct from 'true' then
    return null;
  end if;
  begin
    answer := pgkeeper.link_answer(link, format(
      'select pgkeeper.ask_directly(current_setting(''pg_keeper.asked_conninfo''), current_setting(''pg_keeper.asked_query''), %s)::text',
      greatest(timeout_ms - 50, 1)), deadline);
  exception
    when query_canceled then
      perform pgkeeper.link_close(link);
      raise;
    when others then
      answer := jsonb_build_object('failure', 'no answer in time')::text;
  end;
  perform pgkeeper.link_close(link);
  return answer::jsonb;
end
$$;

comment on function pgkeeper.ask_through_loopback(text, text, integer) is 'One answer of another server, asked from a second session of this one.';

-- Asks a server one query that gives one text, within a bound on every version. {"answer": text} or {"failure": reason}.

create function pgkeeper.ask(conninfo text, query text, timeout_ms integer) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  bound_ms bigint := (select s.setting::bigint from pg_settings s where s.name = 'statement_timeout');
  answer   jsonb;
begin
  -- dblink keeps connect_timeout itself, or the caller has set a bound that is near enough.
  if current_setting('server_version_num')::integer < 160000 or bound_ms between 1 and timeout_ms + 2000 then
    return pgkeeper.ask_directly(conninfo, query, timeout_ms);
  end if;
  answer := pgkeeper.ask_through_loopback(conninfo, query, timeout_ms);
  if answer is not null then
    return answer;
  elsif bound_ms > 0 then
    return pgkeeper.ask_directly(conninfo, query, timeout_ms);
  end if;
  raise exception 'cannot ask another server within a bound: this server does not let a second session of its own in'
    using errcode = 'object_not_in_prerequisite_state',
          hint = format('%sOr run SET statement_timeout = %L in this session and try again.',
                        case when (select r.rolsuper from pg_roles r where r.rolname = current_user)
                             then 'Let the superuser in by local socket or from its own address in pg_hba.conf. '
                             else 'A role that is not superuser needs a password in the conninfo, or the right to connect without one '
                                  '(deploy/grants.sql). ' end, timeout_ms || 'ms');
end
$$;

comment on function pgkeeper.ask(text, text, integer) is 'One answer of another server, within a bound.';

-- Does the given server answer, seen from here? True only for an answered SELECT 1; false for everything else, NULL and the
-- empty string included (libpq would take that for the server this runs on).
-- Bound: timeout_ms; before PostgreSQL 16 a connection that hangs takes up to 2 s, or timeout_ms rounded up to seconds, for each address
-- of the host name. The look-up of a host name is the resolver's own time.

create function pgkeeper.indirect_polling(conninfo text, timeout_ms integer) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  bounded text := conninfo;
begin
  if timeout_ms is null or timeout_ms < 1 then
    raise exception 'timeout_ms must be at least 1' using errcode = 'invalid_parameter_value';
  elsif coalesce(btrim(conninfo), '') = '' then
    return false;
  end if;
  if conninfo like '%connect_timeout%' then
    -- The string's own connect_timeout may be longer than we may take.
    bounded := coalesce(pgkeeper.conninfo_override(conninfo, 'connect_timeout', ceil(timeout_ms / 1000.0)::text), conninfo);
  end if;
  return coalesce(pgkeeper.ask(bounded, 'select 1::text', timeout_ms) ->> 'answer' = '1', false);
end
$$;

comment on function pgkeeper.indirect_polling(text, integer) is 'True if the given server answers SELECT 1 within timeout_ms; works on standbys.';

-- The form users of pg_keeper know, bounded by pg_keeper.keepalive_time.

create function pgkeeper.indirect_polling(conninfo text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select pgkeeper.indirect_polling(conninfo, pgkeeper.setting_ms('pg_keeper.keepalive_time',
                                                                 pgkeeper.setting_ms('pg_keeper.keepalives_time', 5000)))
$$;

comment on function pgkeeper.indirect_polling(text) is 'True if the given server answers SELECT 1 within pg_keeper.keepalive_time; works on standbys.';

-- Kept for old scripts, which told a worker by signal to read again. There is no signal any more: every worker listens.

create function pgkeeper.indirect_kill(signal text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  state record;
begin
  if signal is null or upper(signal) not in ('SIGUSR1', 'SIGUSR2') then
    raise exception 'unknown signal %', coalesce(quote_literal(left(signal, 63)), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'Allowed are ''SIGUSR1'' and ''SIGUSR2''; both tell every worker to read again now.';
  end if;
  perform pgkeeper.refuse_on_standby('indirect_kill');
  select c.version, c.epoch into strict state from pgkeeper.cluster_state c;
  perform pg_notify('pgkeeper', format('{"version":%s,"epoch":%s}', state.version, state.epoch));
  return true;
end
$$;

comment on function pgkeeper.indirect_kill(text) is 'Tells all workers to read the registry again; for old scripts.';

-- Raises an error on a standby that says where to go instead.

create function pgkeeper.refuse_on_standby(what text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  master text;
begin
  if not pg_is_in_recovery() then
    return;
  end if;
  select n.name into master from pgkeeper.node_info n where n.is_master;
  raise exception '%', case when master is null then format('%s works on the master only, and this server is a standby', what)
                            else format('run this on the master, which is "%s": this server is a standby', master) end
    using errcode = 'read_only_sql_transaction',
          hint = format('%s writes, and a standby takes no writes; connect to the master and run it there.', what);
end
$$;

comment on function pgkeeper.refuse_on_standby(text) is 'Raises an error naming the master when run on a standby.';

-- node_info in the shape of cluster_state.voters. The database is where a node's vote is taken; add_node makes sure that every
-- node is reached in the database the registry lives in.

create function pgkeeper.registry_json() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object('name', n.name, 'kind', 'node', 'conninfo', n.conninfo,
                                               'database', current_database(), 'seqno', n.seqno) order by n.seqno), '[]')
  from pgkeeper.node_info n
$$;

comment on function pgkeeper.registry_json() is 'node_info in the shape of cluster_state.voters.';

-- The version a change of the registry gets: one more, but only once for each transaction, however many statements it has.
-- The mark is a setting of the transaction, so a rolled back savepoint takes it back together with the change.
-- Call it only with the row of cluster_state locked.

create function pgkeeper.next_version(present bigint) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  this text := pg_current_xact_id()::text;
begin
  if current_setting('pg_keeper.version_raised_by', true) = this then
    return present;
  end if;
  perform set_config('pg_keeper.version_raised_by', this, true);
  return present + 1;
end
$$;

comment on function pgkeeper.next_version(bigint) is 'The version a change of the registry gets in this transaction.';

-- What the user wants synchronous_standby_names to be: as the master's worker understood it, else what the server has. The
-- worker's own override, the name nobody has, is not a wish.

create function pgkeeper.sync_wish() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select nullif(btrim(c.sync_wish), '') from pgkeeper.cluster_state c),
                  case when current_setting('synchronous_standby_names') ~ '(^|[^A-Za-z0-9_$])pgkeeper_hold($|[^A-Za-z0-9_$])' then ''
                       else current_setting('synchronous_standby_names') end)
$$;

comment on function pgkeeper.sync_wish() is 'The wished synchronous_standby_names.';

-- The names in a synchronous_standby_names, in order: plain list, N (a, b), FIRST N (a, b), ANY N (a, b), quoted names. The
-- server has checked the grammar already; here only the names are picked out.

create function pgkeeper.wished_names(setting text) returns table (place bigint, name text)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select t.place, coalesce(replace(t.token[1], '""', '"'), t.token[2])
  from regexp_matches(coalesce(substring(setting from '(?i)^\s*(?:(?:first|any)\s+)?\d+\s*\((.*)\)\s*$'), setting),
                      '"((?:[^"]|"")+)"|([^\s,()"]+)', 'g') with ordinality as t(token, place)
$$;

comment on function pgkeeper.wished_names(text) is 'The names in a synchronous_standby_names, in order.';

-- is_sync and is_nextmaster by the original's rule: every registered standby named in the wished synchronous_standby_names (names
-- compared ignoring case) is is_sync; the first of them is the preferred next master, else the standby with the lowest seqno.
-- Whether that node is alive is the master's worker's business, which may prefer another one. "*" names nobody.
-- Two updates, because the index allows no two next masters even within one statement.

create function pgkeeper.refresh_flags() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  wish text := pgkeeper.sync_wish();
  next integer;
begin
  select n.seqno into next
    from pgkeeper.node_info n
    left join pgkeeper.wished_names(wish) w on lower(w.name) = lower(n.name)
    where not n.is_master
    order by w.place nulls last, n.seqno
    limit 1;
  update pgkeeper.node_info n set is_nextmaster = false
    where n.is_nextmaster and n.seqno is distinct from next;
  update pgkeeper.node_info n
    set is_nextmaster = coalesce(want.nextmaster, false), is_sync = want.sync
    from (select m.seqno, m.seqno = next as nextmaster,
                 not m.is_master and lower(m.name) in (select lower(w.name) from pgkeeper.wished_names(wish) w) as sync
          from pgkeeper.node_info m) as want
    where want.seqno = n.seqno
      and (n.is_nextmaster, n.is_sync) is distinct from (coalesce(want.nextmaster, false), want.sync);
end
$$;

comment on function pgkeeper.refresh_flags() is 'Sets is_sync and is_nextmaster of all nodes from the wished synchronous_standby_names.';

-- Refuses a name that no standby could stream under, or that another node has.

create function pgkeeper.check_node_name(node_name text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  other text;
begin
  if node_name is null or btrim(node_name) = '' then
    raise exception 'node_name must not be %', case when node_name is null then 'NULL' else 'empty' end
      using errcode = case when node_name is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give the application_name that the node has in its primary_conninfo, such as ''n2''.';
  elsif octet_length(node_name) > 63 then
    raise exception 'node_name is % bytes long, at most 63 are possible', octet_length(node_name)
      using errcode = 'name_too_long', hint = 'PostgreSQL cuts application_name at 63 bytes.';
  elsif node_name !~ '^[ -~]+$' then
    raise exception 'node_name may hold printable ASCII characters only'
      using errcode = 'invalid_parameter_value', hint = 'PostgreSQL replaces other characters in application_name, so the standby could not be recognised.';
  elsif node_name = '*' or lower(node_name) = 'pgkeeper_hold' then
    raise exception 'node_name "%" is reserved', node_name
      using errcode = 'reserved_name', hint = 'It has a meaning of its own in synchronous_standby_names.';
  end if;
  select n.name into other from pgkeeper.node_info n where lower(n.name) = lower(node_name);
  if other = node_name then
    raise exception 'node "%" is registered already', other
      using errcode = 'duplicate_object', hint = 'To change its conninfo: pgkeeper.del_node, then pgkeeper.add_node.';
  elsif other is not null then
    raise exception 'node "%" differs only in case from the registered node "%"', node_name, other
      using errcode = 'duplicate_object', hint = 'synchronous_standby_names compares names ignoring case; choose another name.';
  end if;
end
$$;

comment on function pgkeeper.check_node_name(text) is 'Refuses a name that cannot be registered.';

-- The name a standby streams under, from pg_stat_wal_receiver.conninfo. There values stand without quotes, one blank before each
-- keyword, always in the same order, so that a name may hold blanks and "=". Without application_name the fallback is sent
-- (cluster_name, else "walreceiver").

create function pgkeeper.receiver_name(receiver_conninfo text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    regexp_replace(substring(receiver_conninfo from '(?:^| )application_name=(.*)'), ' fallback_application_name=.*$', ''),
    regexp_replace(substring(receiver_conninfo from '(?:^| )fallback_application_name=(.*)'), ' [a-z_]+=.*$', ''))
$$;

comment on function pgkeeper.receiver_name(text) is 'The application_name of a WAL receiver.';

-- What add_node has to know of a server: asked over dblink, as a worker will later. "same_server" is proof that it is the
-- server this session runs on, not a copy with the same identifier: it sees an advisory lock with a random key held by this backend.

create function pgkeeper.server_facts(conninfo text) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  token    bigint := ('x' || left(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint;
  own_wait integer := substring(conninfo from 'connect_timeout\s*=\s*''?(\d{1,4})')::integer;
  answer   jsonb;
begin
  perform pg_advisory_xact_lock(token);
  answer := pgkeeper.ask(conninfo, format($query$
    select pg_catalog.json_build_object(
      'identifier', (select c.system_identifier::text from pg_catalog.pg_control_system() c),
      'in_recovery', pg_catalog.pg_is_in_recovery(),
      'database', pg_catalog.current_database(),
      'started', extract(epoch from pg_catalog.pg_postmaster_start_time())::text,
      'port', pg_catalog.current_setting('port'),
      'same_server', exists (select from pg_catalog.pg_locks l
                             where l.locktype = 'advisory' and l.granted and l.pid = %s and l.objsubid = 1
                               and ((l.classid::bigint << 32) | l.objid::bigint) = %s),
      'receiver', (select pg_catalog.json_build_object('status', r.status, 'conninfo', r.conninfo)
                   from pg_catalog.pg_stat_wal_receiver r))::text
    $query$, pg_backend_pid(), token),
    case when own_wait between 1 and 60 then own_wait * 1000 else 5000 end);
  if answer ? 'failure' then
    raise exception 'the server does not answer: %', answer ->> 'failure'
      using errcode = 'connection_failure',
            hint = 'Check the conninfo with psql from the host of this server; it must be reachable from every node.';
  end if;
  return (answer ->> 'answer')::jsonb;
end
$$;

comment on function pgkeeper.server_facts(text) is 'What add_node has to know of a server.';

-- The first node is the master, and that is the server add_node runs on.

create function pgkeeper.check_first_node(facts jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if (facts ->> 'same_server')::boolean then
    return;
  end if;
  raise exception 'the first node is the master and must be this server, but the conninfo leads to another one'
    using errcode = 'object_not_in_prerequisite_state',
          detail = case
            when (facts ->> 'in_recovery')::boolean then 'The server it leads to is a standby.'
            when facts ->> 'identifier' is distinct from (select c.system_identifier::text from pg_control_system() c)
              then 'The server it leads to belongs to another cluster (another system identifier).'
            else 'The server it leads to is another one with the same system identifier.' end,
          hint = 'Register the master first, with a conninfo that leads to the server you are connected to; then its standbys.';
end
$$;

comment on function pgkeeper.check_first_node(jsonb) is 'Refuses a first node that is not the server this runs on.';

-- Waits up to 2 s until a standby streams from this server under the given name: one that was just started or reconnects
-- must not be refused for it.

create function pgkeeper.check_streaming(node_name text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  deadline timestamptz := clock_timestamp() + interval '2 s';
  streams  bigint;
  present  text;
begin
  loop
    perform pg_stat_clear_snapshot(); -- else every look in this transaction shows the same
    select count(*) filter (where r.state = 'streaming'),
           string_agg(distinct coalesce(r.state, 'state hidden from this role'), ', ')
      into streams, present
      from pg_stat_replication r where r.application_name = node_name;
    exit when streams > 0 or clock_timestamp() >= deadline;
    perform pg_sleep(0.05);
  end loop;
  if streams = 1 then
    return;
  elsif streams > 1 then
    raise exception '% servers stream from this server as "%"', streams, node_name
      using errcode = 'object_not_in_prerequisite_state', hint = 'Give each standby an application_name of its own in primary_conninfo.';
  elsif not pg_has_role('pg_read_all_stats', 'usage') then
    raise exception 'this role may not see who streams from this server'
      using errcode = 'insufficient_privilege', hint = 'Grant it pg_monitor.';
  elsif present is not null then
    raise exception 'node "%" is connected to this server but does not stream yet (%)', node_name, present
      using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until pg_stat_replication shows state = streaming, then try again.';
  end if;
  raise exception 'no standby streams from this server as "%"', node_name
    using errcode = 'object_not_in_prerequisite_state',
          hint = format('On the standby: ALTER SYSTEM SET primary_conninfo = ''... application_name=%s''; SELECT pg_reload_conf(); it must stream from this server directly.', node_name);
end
$$;

comment on function pgkeeper.check_streaming(text) is 'Refuses a name under which no standby streams from this server.';

-- A later node is a standby of this very cluster, streams from this server under its name, and has no other name here.

create function pgkeeper.check_standby_node(node_name text, conninfo text, facts jsonb) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  other  record;
  theirs jsonb;
begin
  if (facts ->> 'same_server')::boolean then
    raise exception 'the conninfo leads to this server, which is the master "%"', (select n.name from pgkeeper.node_info n where n.is_master)
      using errcode = 'duplicate_object', hint = 'Give the conninfo of the standby.';
  elsif facts ->> 'identifier' is distinct from (select c.system_identifier::text from pg_control_system() c) then
    raise exception 'the server belongs to another cluster: its system identifier is %, here it is %',
        facts ->> 'identifier', (select c.system_identifier from pg_control_system() c)
      using errcode = 'object_not_in_prerequisite_state', hint = 'Only physical standbys of this server can be nodes; make one with pg_basebackup.';
  elsif not (facts ->> 'in_recovery')::boolean then
    raise exception 'the server is not a standby: it has left recovery and takes writes'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Make it a standby of this server (pg_rewind or pg_basebackup), then try again.';
  elsif facts -> 'receiver' = 'null' then
    raise exception 'the server is a standby but receives no WAL'
      using errcode = 'object_not_in_prerequisite_state',
            hint = format('Set primary_conninfo there, with application_name=%s, and see its log.', node_name);
  elsif facts #>> '{receiver,conninfo}' is null then
    raise exception 'the user of the conninfo may not see under which name the standby streams'
      using errcode = 'insufficient_privilege', hint = 'Grant that user pg_monitor (see deploy/grants.sql).';
  elsif pgkeeper.receiver_name(facts #>> '{receiver,conninfo}') is distinct from node_name then
    raise exception 'the server streams as "%", not as "%"', pgkeeper.receiver_name(facts #>> '{receiver,conninfo}'), node_name
      using errcode = 'object_not_in_prerequisite_state',
            hint = format('Set application_name=%s in its primary_conninfo and reload it, or register it under the name it has.', node_name);
  end if;
  perform pgkeeper.check_streaming(node_name);
  -- A server streams under one name only, so it can hide only behind a node that does not stream now: ask those.
  for other in
    select n.name, n.conninfo from pgkeeper.node_info n
    where not n.is_master
      and not exists (select from pg_stat_replication r where r.application_name = n.name and r.state = 'streaming')
  loop
    theirs := pgkeeper.ask(other.conninfo, 'select pg_catalog.json_build_object(''started'','
      ' extract(epoch from pg_catalog.pg_postmaster_start_time())::text, ''port'', pg_catalog.current_setting(''port''))::text', 2000);
    if (theirs ->> 'answer')::jsonb -> 'started' = facts -> 'started' and (theirs ->> 'answer')::jsonb -> 'port' = facts -> 'port' then
      raise exception 'the server is registered already, as "%"', other.name
        using errcode = 'duplicate_object', hint = format('Remove it under that name first: SELECT pgkeeper.del_node(%L);', other.name);
    end if;
  end loop;
end
$$;

comment on function pgkeeper.check_standby_node(text, text, jsonb) is 'Refuses a later node that is not a streaming standby of this server.';

-- Registers a node: the first is the master, each later one a standby that streams from it. All checks come before the first
-- change, so nothing is stored of a refused node, and no message holds anything of the conninfo.
-- Order of locks: node_info in a mode that keeps out other add_node and del_node but no worker's update, held while the network is
-- asked; then the row of cluster_state; then rows of node_info. A worker takes the last two in the same order.

create function pgkeeper.add_node(node_name text, conninfo text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
as $$
declare
  facts     jsonb;
  first     boolean;
  identity  text;
  promotion uuid := gen_random_uuid();
begin
  perform pgkeeper.refuse_on_standby('add_node');
  if conninfo is null or btrim(conninfo) = '' then
    raise exception 'conninfo must not be %', case when conninfo is null then 'NULL' else 'empty' end
      using errcode = case when conninfo is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give a libpq connection string by which every node reaches this one, such as ''host=... port=5432 dbname=... user=...''.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  perform pgkeeper.check_node_name(node_name);
  if exists (select from pgkeeper.wished_names(pgkeeper.sync_wish()) w where w.name = '*') then
    raise exception 'synchronous_standby_names = ''*'' leaves open which nodes must have every commit'
      using errcode = 'invalid_parameter_value', hint = 'List the names of the nodes in synchronous_standby_names, and reload.';
  end if;
  first := not exists (select from pgkeeper.node_info);
  select c.system_identifier into identity from pgkeeper.cluster_state c;
  if not first and identity is distinct from (select c.system_identifier::text from pg_control_system() c) then
    raise exception 'the registry in this database is that of another cluster; it came with a restored dump or a copy'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Empty it with DELETE FROM pgkeeper.node_info; then register the nodes of this cluster, the master first.';
  end if;

  facts := pgkeeper.server_facts(conninfo);
  if first then
    perform pgkeeper.check_first_node(facts);
  else
    perform pgkeeper.check_standby_node(node_name, conninfo, facts);
  end if;
  if facts ->> 'database' <> current_database() then
    raise exception 'the conninfo leads to another database than the one the registry lives in, which is "%"', current_database()
      using errcode = 'invalid_parameter_value', hint = format('Add dbname=%s to the conninfo.', current_database());
  end if;

  perform from pgkeeper.cluster_state c for update;
  insert into pgkeeper.node_info (name, conninfo, is_master) values (node_name, add_node.conninfo, first);
  perform pgkeeper.refresh_flags();
  if first then
    update pgkeeper.cluster_state c
      set epoch = c.epoch + 1, promotion_id = promotion, system_identifier = facts ->> 'identifier',
          promotions = jsonb_build_array(jsonb_build_object(
            'timeline', ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int, 'id', promotion)),
          master = node_name, voters = pgkeeper.registry_json();
  end if;
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, node_name, 'node-added',
           format('%s was registered as %s', node_name, case when first then 'master' else 'standby' end),
           jsonb_build_object('version', c.version, 'nodes', jsonb_array_length(c.nodes))
    from pgkeeper.cluster_state c;
  return true;
end
$$;

comment on function pgkeeper.add_node(text, text) is
  'Registers a node: the first is the master and this server, each later one a standby that streams from it under that name.';

-- Takes a node out of the registry; the two forms of del_node find it. The server itself runs on, its worker stops managing it.
-- Order of locks as in add_node.

create function pgkeeper.remove_node(wanted_name text, wanted_seqno integer) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
as $$
declare
  node record;
begin
  perform pgkeeper.refuse_on_standby('del_node');
  if wanted_name is null and wanted_seqno is null then
    raise exception 'the node to remove must not be NULL'
      using errcode = 'null_value_not_allowed', hint = 'Give its name or its seqno, as in pgkeeper.node_info.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  -- Before any row is locked: the commit of a transaction that has locked one waits for standbys, which may be gone for long.
  if not exists (select from pgkeeper.node_info n where n.name = wanted_name or n.seqno = wanted_seqno) then
    return false;
  end if;
  perform from pgkeeper.cluster_state c for update;
  select n.seqno, n.name, n.is_master into node
    from pgkeeper.node_info n where n.name = wanted_name or n.seqno = wanted_seqno
    for update;
  if not found then
    return false;
  elsif node.is_master then
    raise exception 'node "%" is the master and cannot be removed', node.name
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Make another node master first; to give up the registry altogether: DROP EXTENSION pg_keeper, or pgkeeper migrate --down.';
  end if;
  delete from pgkeeper.node_info n where n.seqno = node.seqno;
  delete from pgkeeper.node_state s where s.name = node.name;
  perform pgkeeper.refresh_flags();
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, node.name, 'node-removed', format('%s was removed from the registry', node.name),
           jsonb_build_object('version', c.version, 'nodes', jsonb_array_length(c.nodes))
    from pgkeeper.cluster_state c;
  return true;
end
$$;

comment on function pgkeeper.remove_node(text, integer) is 'Takes a node out of the registry; use del_node.';

-- Removes a node by its name; the name is compared exactly.

create function pgkeeper.del_node(node_name text) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select pgkeeper.remove_node(node_name, null) $$;

comment on function pgkeeper.del_node(text) is 'Removes a node by name: true if removed, false if unknown; the master is refused.';

-- Removes a node by its seqno.

create function pgkeeper.del_node(seqno integer) returns boolean
language sql volatile
set search_path = pg_catalog, pg_temp
as $$ select pgkeeper.remove_node(null, seqno) $$;

comment on function pgkeeper.del_node(integer) is 'Removes a node by seqno: true if removed, false if unknown; the master is refused.';

-- The node this server is: the setting; else, on a server that takes writes, the registered master; else the name under which it
-- streams. For display only: any session may set the setting.

create function pgkeeper.own_name() returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(nullif(current_setting('pg_keeper.node_name', true), ''),
                  case when pg_is_in_recovery()
                       then (select pgkeeper.receiver_name(r.conninfo) from pg_stat_wal_receiver r)
                       else (select n.name from pgkeeper.node_info n where n.is_master) end)
$$;

comment on function pgkeeper.own_name() is 'Name of the node this server is, for display.';

-- Where this server is in the WAL. A master: its insert position, nothing behind. A standby: what it has replayed, and how far that is
-- behind what it has received. A standby's timeline is the newest of what it streams, must recover to, or has checkpointed.

create function pgkeeper.own_position(out timeline integer, out lsn pg_lsn, out lag_bytes bigint)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if pg_is_in_recovery() then
    timeline := greatest((select r.received_tli from pg_stat_wal_receiver r),
                         (select c.min_recovery_end_timeline from pg_control_recovery() c),
                         (select c.timeline_id from pg_control_checkpoint() c));
    lsn := pg_last_wal_replay_lsn();
    lag_bytes := pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), lsn), lsn);
  else
    lsn := pg_current_wal_lsn();
    timeline := ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::integer;
    lag_bytes := 0;
  end if;
end
$$;

comment on function pgkeeper.own_position() is 'Timeline, position and lag of this server.';

-- Who holds this server's vote: the advisory lock whose key is the system identifier. The node's name if a worker holds it.

create function pgkeeper.vote_holder() returns text
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select n.name from pgkeeper.node_info n
                   where left('pgk ' || split_part(a.application_name, ' ', 2) || ' ' || n.name, 63) = a.application_name
                   order by n.seqno limit 1),
                  a.application_name)
  from pg_locks l join pg_stat_activity a using (pid)
  where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
    and ((l.classid::bigint << 32) | l.objid::bigint) = (select c.system_identifier from pg_control_system() c)
  limit 1
$$;

comment on function pgkeeper.vote_holder() is 'Name of the node whose worker holds this server''s vote.';

-- cluster_state only moves forward: epoch and version never fall, and a change raises the version by one if the writer has not.
-- The transaction does not wait for standbys at its commit: it would hold this row meanwhile, and the worker that must write here
-- to end such a wait would wait for it.

create function pgkeeper.cluster_state_forward() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.epoch < old.epoch or new.version < old.version then
    raise exception 'cluster_state moves forward only: epoch % version % cannot follow epoch % version %',
        new.epoch, new.version, old.epoch, old.version
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if new.version = old.version and new is distinct from old then
    new.version := pgkeeper.next_version(old.version);
  elsif new.version > old.version then
    perform pgkeeper.next_version(old.version); -- the writer has raised it; the rest of the transaction need not
  end if;
  new.changed_at := clock_timestamp();
  if current_setting('synchronous_commit') not in ('off', 'local') then
    perform set_config('synchronous_commit', 'local', true);
  end if;
  return new;
end
$$;

comment on function pgkeeper.cluster_state_forward() is 'Keeps epoch and version of cluster_state from falling, and raises the version.';

create trigger forward before update on pgkeeper.cluster_state
  for each row execute function pgkeeper.cluster_state_forward();

comment on trigger forward on pgkeeper.cluster_state is 'Epoch and version only move forward.';

-- Tells every worker that there is something to read. Equal notifications of one transaction are sent once. Never a conninfo.

create function pgkeeper.cluster_state_notify() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify('pgkeeper', format('{"version":%s,"epoch":%s}', new.version, new.epoch));
  return null;
end
$$;

comment on function pgkeeper.cluster_state_notify() is 'Tells every worker of a change of the registry.';

create trigger notify after update on pgkeeper.cluster_state
  for each row execute function pgkeeper.cluster_state_notify();

comment on trigger notify on pgkeeper.cluster_state is 'NOTIFY pgkeeper with version and epoch.';

-- The one row of cluster_state stays.

create function pgkeeper.cluster_state_keep() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'the row of pgkeeper.cluster_state cannot be removed'
    using errcode = 'object_not_in_prerequisite_state', hint = 'The workers read it; update it instead.';
end
$$;

comment on function pgkeeper.cluster_state_keep() is 'Refuses to empty cluster_state.';

create trigger keep before delete or truncate on pgkeeper.cluster_state
  for each statement execute function pgkeeper.cluster_state_keep();

comment on trigger keep on pgkeeper.cluster_state is 'The one row stays.';

-- Every change of node_info, by function or by hand: copied into cluster_state, version raised once for the transaction, workers told.
-- The row is locked first and read then, so that two transactions never compute from the same version.

create function pgkeeper.node_info_changed() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from pgkeeper.cluster_state c for update;
  update pgkeeper.cluster_state c set nodes = pgkeeper.registry_json(), version = pgkeeper.next_version(c.version);
  return null;
end
$$;

comment on function pgkeeper.node_info_changed() is 'Copies node_info into cluster_state and raises the version.';

create trigger changed after insert or delete on pgkeeper.node_info
  for each row execute function pgkeeper.node_info_changed();

comment on trigger changed on pgkeeper.node_info is 'Copies the change into cluster_state.';

create trigger updated after update on pgkeeper.node_info
  for each row when (old is distinct from new) execute function pgkeeper.node_info_changed();

comment on trigger updated on pgkeeper.node_info is 'Copies the change into cluster_state.';

create trigger truncated after truncate on pgkeeper.node_info
  for each statement execute function pgkeeper.node_info_changed();

comment on trigger truncated on pgkeeper.node_info is 'Copies the change into cluster_state.';

-- The cluster as this server knows it, without asking anybody, so it works on an isolated standby too. What this server cannot know is NULL.
--   state      what the node's worker says of itself in the application_name of its session here ('pgk STATE NAME', cut at 63
--              bytes); no session: unreachable, seen from here
--   timeline, lsn, lag_bytes   this server: measured now; on the master also its streaming standbys (replayed position)
--   since      since when the state holds, if it is the one last reported to the master
--   lease      whose worker holds this server's vote; for this server's row only
-- A reader needs pg_monitor: without it the sessions of others look empty and every node unreachable.

create view pgkeeper.status as
  select n.name,
         case when n.is_master then 'master' else 'standby' end as role,
         coalesce(worker.state, 'unreachable') as state,
         n.is_nextmaster,
         n.is_sync,
         case when n.name = here.name or stream.state = 'streaming' then here.timeline end as timeline,
         case when n.name = here.name then here.lsn else stream.replay_lsn end as lsn,
         case when n.name = here.name then here.lag_bytes
              when stream.replay_lsn is not null
              then greatest(pg_catalog.pg_wal_lsn_diff(here.lsn, stream.replay_lsn), 0)::bigint end as lag_bytes,
         known.since,
         case when n.name = here.name then pgkeeper.vote_holder() end as lease
  from pgkeeper.node_info n
  cross join (select pgkeeper.own_name() as name, p.timeline, p.lsn, p.lag_bytes
              from pgkeeper.own_position() p offset 0) here
  left join lateral (
    select pg_catalog.split_part(a.application_name, ' ', 2) as state
    from pg_catalog.pg_stat_activity a
    where a.application_name like 'pgk %'
      and pg_catalog.left('pgk ' || pg_catalog.split_part(a.application_name, ' ', 2) || ' ' || n.name, 63) = a.application_name
    order by a.backend_start desc
    limit 1) worker on true
  left join lateral (
    select r.state, r.replay_lsn
    from pg_catalog.pg_stat_replication r
    where r.application_name = n.name and not pg_catalog.pg_is_in_recovery()
    order by r.state = 'streaming' desc, r.replay_lsn desc
    limit 1) stream on true
  left join pgkeeper.node_state known on known.name = n.name and known.state = coalesce(worker.state, 'unreachable')
  order by n.seqno;

comment on view pgkeeper.status is 'The cluster as this server knows it, one row per node; asks nobody.';

-- Nothing for PUBLIC: conninfo may hold passwords, and indirect_polling connects wherever it is told to.
-- What a worker's role needs is in deploy/grants.sql.

revoke all on schema pgkeeper from public;
revoke all on all tables in schema pgkeeper from public;
revoke all on all sequences in schema pgkeeper from public;
revoke all on all functions in schema pgkeeper from public;

-- Down Migration

drop view pgkeeper.status;
drop trigger truncated on pgkeeper.node_info;
drop trigger updated on pgkeeper.node_info;
drop trigger changed on pgkeeper.node_info;
drop function pgkeeper.node_info_changed();
drop trigger keep on pgkeeper.cluster_state;
drop function pgkeeper.cluster_state_keep();
drop trigger notify on pgkeeper.cluster_state;
drop function pgkeeper.cluster_state_notify();
drop trigger forward on pgkeeper.cluster_state;
drop function pgkeeper.cluster_state_forward();
drop function pgkeeper.vote_holder();
drop function pgkeeper.own_position(out timeline integer, out lsn pg_lsn, out lag_bytes bigint);
drop function pgkeeper.own_name();
drop function pgkeeper.del_node(seqno integer);
drop function pgkeeper.del_node(node_name text);
drop function pgkeeper.remove_node(wanted_name text, wanted_seqno integer);
drop function pgkeeper.add_node(node_name text, conninfo text);
drop function pgkeeper.check_standby_node(node_name text, conninfo text, facts jsonb);
drop function pgkeeper.check_streaming(node_name text);
drop function pgkeeper.check_first_node(facts jsonb);
drop function pgkeeper.server_facts(conninfo text);
drop function pgkeeper.receiver_name(receiver_conninfo text);
drop function pgkeeper.check_node_name(node_name text);
drop function pgkeeper.refresh_flags();
drop function pgkeeper.wished_names(setting text);
drop function pgkeeper.sync_wish();
drop function pgkeeper.next_version(present bigint);
drop function pgkeeper.registry_json();
drop function pgkeeper.refuse_on_standby(what text);
drop function pgkeeper.indirect_kill(signal text);
drop function pgkeeper.indirect_polling(conninfo text);
drop function pgkeeper.indirect_polling(conninfo text, timeout_ms integer);
drop function pgkeeper.ask(conninfo text, query text, timeout_ms integer);
drop function pgkeeper.ask_through_loopback(conninfo text, query text, timeout_ms integer);
drop function pgkeeper.loopback_conninfos(conninfo text);
drop function pgkeeper.ask_directly(conninfo text, query text, timeout_ms integer);
drop function pgkeeper.link_close(link text);
drop function pgkeeper.link_answer(link text, query text, deadline timestamptz);
drop function pgkeeper.link_open(conninfo text);
drop function pgkeeper.dblink_schema();
drop function pgkeeper.connection_failure(state text, detail text);
drop function pgkeeper.conninfo_override(conninfo text, keyword text, value text);
drop function pgkeeper.conninfo_default(conninfo text, keyword text, value text);
drop function pgkeeper.setting_ms(setting text, fallback_ms integer);
drop function pgkeeper.version();
drop table pgkeeper.node_state;
drop table pgkeeper.events;
drop table pgkeeper.cluster_state;
drop table pgkeeper.node_info;
drop schema pgkeeper;
