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
  asked_at timestamptz;
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
  asked_at := clock_timestamp();
  begin
    answer := pgkeeper.link_answer(link, format(
      'select pgkeeper.ask_directly(current_setting(''pg_keeper.asked_conninfo''), current_setting(''pg_keeper.asked_query''), %s)::text',
      greatest(timeout_ms - 50, 1)), deadline);
  exception
    when query_canceled or others then
      -- That session's own statement_timeout comes here under the same SQLSTATE as a cancel of this session.
      if sqlstate = '57014' and clock_timestamp() < asked_at + timeout_ms * interval '1 ms' then
        perform pgkeeper.link_close(link);
        raise; -- somebody cancelled us
      end if;
      answer := jsonb_build_object('failure', 'no answer in time')::text;
  end;
  perform pgkeeper.link_close(link);
  return answer::jsonb;
end
$$;

comment on function pgkeeper.ask_through_loopback(text, text, integer) is 'One answer of another server, asked from a second session of this one.';
