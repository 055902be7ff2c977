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
