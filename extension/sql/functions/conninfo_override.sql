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
