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
  logged  text := pgkeeper.hide_statement();
  answers boolean := false;
begin
  if timeout_ms is null or timeout_ms < 1 then
    raise exception 'timeout_ms must be at least 1' using errcode = 'invalid_parameter_value';
  end if;
  if coalesce(btrim(conninfo), '') <> '' then
    if conninfo like '%connect_timeout%' then
      -- The string's own connect_timeout may be longer than we may take.
      bounded := coalesce(pgkeeper.conninfo_override(conninfo, 'connect_timeout', ceil(timeout_ms / 1000.0)::text), conninfo);
    end if;
    answers := coalesce(pgkeeper.ask(bounded, 'select 1::text', timeout_ms) ->> 'answer' = '1', false);
  end if;
  perform pgkeeper.show_statement(logged);
  return answers;
end
$$;

comment on function pgkeeper.indirect_polling(text, integer) is 'True if the given server answers SELECT 1 within timeout_ms; works on standbys.';
