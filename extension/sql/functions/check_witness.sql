-- A witness is another server than the cluster's own, takes writes, ends silent sessions by itself, shows when its memory was made
-- anew, and lets its one table be made.

create function pgkeeper.check_witness(facts jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  other text;
begin
  if facts ->> 'identifier' = (select c.system_identifier::text from pg_control_system() c) then
    raise exception 'the conninfo leads to a member of this cluster, which has a vote of its own'
      using errcode = 'duplicate_object', hint = 'Take a server of another cluster; a standby of this one is added with pgkeeper.add_node.';
  elsif (facts ->> 'in_recovery')::boolean then
    raise exception 'the server is a standby and takes no writes, so it cannot keep the witness''s row'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Take a server that is nobody''s standby.';
  elsif (facts ->> 'version')::integer < 140000 then
    raise exception 'the server is older than PostgreSQL 14 and cannot end silent sessions by itself (idle_session_timeout)'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Take a server of PostgreSQL 14 or newer.';
  elsif not (facts ->> 'sees_birth')::boolean then
    raise exception 'the user of the conninfo may not see since when the server runs'
      using errcode = 'insufficient_privilege', hint = 'On the witness: GRANT pg_monitor TO that user.';
  elsif not (facts ->> 'may_keep')::boolean then
    raise exception 'the user of the conninfo may not keep a row in database "%" of the witness', facts ->> 'database'
      using errcode = 'insufficient_privilege',
            hint = 'On the witness: GRANT CREATE ON DATABASE ... TO that user, who then makes the schema pgkeeper_witness. '
                   'If that schema is there already, connect as the user that owns it.';
  end if;
  select w.name into other from pgkeeper.witness_info w
    where w.system_identifier = facts ->> 'identifier' and w.timeline = (facts ->> 'timeline')::integer and w.address = facts ->> 'address';
  if found then
    raise exception 'the server is registered already, as witness "%"', other
      using errcode = 'duplicate_object', hint = format('One server has one vote. To add it under another name: SELECT pgkeeper.del_witness(%L); first.', other);
  end if;
end
$$;

comment on function pgkeeper.check_witness(jsonb) is 'Refuses a server that cannot be a witness of this cluster.';
