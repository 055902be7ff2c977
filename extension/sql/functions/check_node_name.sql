-- Refuses a name that no standby could stream under, or that another node has.

create function pgkeeper.check_node_name(node_name text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  other text;
begin
  if node_name is null or btrim(node_name) = '' then
    raise exception 'node_name must not be %', case when node_name is null then 'NULL' else 'empty' end
      using errcode = case when node_name is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give the application_name that the node has in its primary_conninfo, such as ''n2''.';
  elsif octet_length(node_name) > 63 then
    raise exception 'node_name is % bytes long, at most 63 are possible', octet_length(node_name)
      using errcode = 'name_too_long', hint = 'PostgreSQL cuts application_name at 63 bytes.';
  elsif node_name !~ '^[ -~]+$' then
    raise exception 'node_name may hold printable ASCII characters only'
      using errcode = 'invalid_parameter_value', hint = 'PostgreSQL replaces other characters in application_name, so the standby could not be recognised.';
  elsif node_name = '*' or lower(node_name) = 'pgkeeper_hold' then
    raise exception 'node_name "%" is reserved', node_name
      using errcode = 'reserved_name', hint = 'It has a meaning of its own in synchronous_standby_names.';
  end if;
  select w.name into other from pgkeeper.witness_info w where lower(w.name) = lower(node_name);
  if found then
    raise exception 'witness "%" is registered already', other
      using errcode = 'duplicate_object', hint = 'Nodes and witnesses share their names; choose another one, or remove it: pgkeeper.del_witness.';
  end if;
  select n.name into other from pgkeeper.node_info n where lower(n.name) = lower(node_name);
  if other = node_name then
    raise exception 'node "%" is registered already', other
      using errcode = 'duplicate_object', hint = format('To change its conninfo: UPDATE pgkeeper.node_info SET conninfo = ''...'' WHERE name = %L;', other);
  elsif other is not null then
    raise exception 'node "%" differs only in case from the registered node "%"', node_name, other
      using errcode = 'duplicate_object', hint = 'synchronous_standby_names compares names ignoring case; choose another name.';
  end if;
end
$$;

comment on function pgkeeper.check_node_name(text) is 'Refuses a name that cannot be registered.';
