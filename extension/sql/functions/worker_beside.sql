-- Is the worker of that node seen from this server? By its session here, in a name cut at 63 bytes.

create function pgkeeper.worker_beside(node text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from pg_stat_activity a
                 where a.application_name like 'pgk %'
                   and left('pgk ' || split_part(a.application_name, ' ', 2) || ' ' || node, 63) = a.application_name)
$$;

comment on function pgkeeper.worker_beside(text) is 'Does the worker of that node have a session on this server?';
