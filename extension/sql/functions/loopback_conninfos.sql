-- The ways in which this session may reach its own server, best first, by socket and by TCP: as itself without a password (peer or
-- trust; superusers, and roles that were granted dblink_connect_u), with the user and password of the given conninfo, which hold
-- here too when it leads to a node of the same cluster, and with those of a registered node, in case the given ones are wrong.

create function pgkeeper.loopback_conninfos(conninfo text) returns setof text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  ways   text[];
  folder text;
  host   text;
  there  text;
begin
  if (select r.rolsuper from pg_roles r where r.rolname = current_user)
     or has_function_privilege(pgkeeper.dblink_schema() || '.dblink_connect_u(text,text)', 'execute') then
    ways := array[pgkeeper.conninfo_override('connect_timeout=2', 'user', current_user)];
  end if;
  ways := ways || conninfo;
  if has_table_privilege('pgkeeper.node_info', 'select') then
    ways := ways || (select n.conninfo from pgkeeper.node_info n
                     order by (n.name is not distinct from pgkeeper.own_name()) desc, n.is_master desc limit 1);
  end if;
  begin
    folder := btrim(split_part(current_setting('unix_socket_directories'), ',', 1), ' "');
  exception when insufficient_privilege then
    folder := ''; -- shown to members of pg_read_all_settings only
  end;
  foreach there in array ways loop
    there := pgkeeper.conninfo_override(there, 'hostaddr', '');
    there := pgkeeper.conninfo_override(there, 'port', current_setting('port'));
    there := pgkeeper.conninfo_override(there, 'target_session_attrs', 'any');
    there := pgkeeper.conninfo_override(there, 'sslmode', 'prefer');
    there := pgkeeper.conninfo_override(there, 'dbname', current_database());
    continue when there is null;
    foreach host in array array[folder, coalesce(host(inet_server_addr()), '127.0.0.1')] loop
      continue when host = '';
      return next pgkeeper.conninfo_override(there, 'host', host);
    end loop;
  end loop;
end
$$;

comment on function pgkeeper.loopback_conninfos(text) is 'Connection strings by which this server may reach itself.';
