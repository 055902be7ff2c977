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
