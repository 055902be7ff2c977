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
