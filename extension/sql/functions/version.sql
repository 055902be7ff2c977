-- Which version of the objects is installed, whichever way they came.

create function pgkeeper.version() returns text
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$ select '@VERSION@'::text $$;

comment on function pgkeeper.version() is 'Version of these objects.';
