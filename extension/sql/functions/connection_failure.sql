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
