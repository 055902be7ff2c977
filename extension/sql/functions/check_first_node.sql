-- The first node is the master, and that is the server add_node runs on.

create function pgkeeper.check_first_node(facts jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if (facts ->> 'same_server')::boolean then
    return;
  end if;
  raise exception 'the first node is the master and must be this server, but the conninfo leads to another one'
    using errcode = 'object_not_in_prerequisite_state',
          detail = case
            when (facts ->> 'in_recovery')::boolean then 'The server it leads to is a standby.'
            when facts ->> 'identifier' is distinct from (select c.system_identifier::text from pg_control_system() c)
              then 'The server it leads to belongs to another cluster (another system identifier).'
            else 'The server it leads to is another one with the same system identifier.' end,
          hint = 'Register the master first, with a conninfo that leads to the server you are connected to; then its standbys.';
end
$$;

comment on function pgkeeper.check_first_node(jsonb) is 'Refuses a first node that is not the server this runs on.';
