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
