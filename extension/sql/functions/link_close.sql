-- Closes a connection of link_open; never fails.

create function pgkeeper.link_close(link text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('select %s.dblink_disconnect($1)', pgkeeper.dblink_schema()) using link;
exception when others then
  null; -- it was closed already, which is all we want
end
$$;

comment on function pgkeeper.link_close(text) is 'Closes a dblink connection of link_open.';
