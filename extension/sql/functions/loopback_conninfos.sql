-- The ways in which this session may reach its own server, best first: as itself without a password (superusers only: peer
-- or trust), then with the user and password of the given conninfo, which hold here too when it leads to a node of the same cluster.

create function pgkeeper.loopback_conninfos(conninfo text) returns setof text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  port   text := current_setting('port');
  folder text;
  host   text;
  there  text;
begin
  begin
    folder := btrim(split_part(current_setting('unix_socket_directories'), ',', 1), ' "');
  exception when insufficient_privilege then
    folder := ''; -- shown to members of pg_read_all_settings only
  end;
  foreach host in array array[folder, coalesce(host(inet_server_addr()), '127.0.0.1')] loop
    continue when host = '';
    if (select r.rolsuper from pg_roles r where r.rolname = current_user) then
      there := pgkeeper.conninfo_override('connect_timeout=2', 'host', host);
      there := pgkeeper.conninfo_override(there, 'port', port);
      there := pgkeeper.conninfo_override(there, 'user', current_user);
      return next pgkeeper.conninfo_override(there, 'dbname', current_database());
    end if;
    there := pgkeeper.conninfo_override(conninfo, 'host', host);
    there := pgkeeper.conninfo_override(there, 'hostaddr', '');
    there := pgkeeper.conninfo_override(there, 'port', port);
    there := pgkeeper.conninfo_override(there, 'target_session_attrs', 'any');
    there := pgkeeper.conninfo_override(there, 'sslmode', 'prefer');
    there := pgkeeper.conninfo_override(there, 'dbname', current_database());
    if there is not null then
      return next there;
    end if;
  end loop;
end
$$;

comment on function pgkeeper.loopback_conninfos(text) is 'Connection strings by which this server may reach itself.';
