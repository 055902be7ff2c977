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
