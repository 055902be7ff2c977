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
