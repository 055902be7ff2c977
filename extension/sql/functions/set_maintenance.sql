-- A node in maintenance is no candidate, and its worker leaves its server as it is. The master is refused, and the last candidate too unless
-- that is accepted by name.

create function pgkeeper.set_maintenance(node text, "on" boolean, accept_no_candidate boolean default false) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
  is_master boolean;
  epoch     bigint;
begin
  perform pgkeeper.refuse_on_standby('set_maintenance');
  is_master := pgkeeper.check_planned_node('set_maintenance', node);
  if "on" is null or accept_no_candidate is null then
    raise exception 'set_maintenance: % must not be NULL', case when "on" is null then '"on"' else 'accept_no_candidate' end
      using errcode = 'null_value_not_allowed', hint = 'Give true or false.';
  end if;
  select c.epoch into strict epoch from pgkeeper.cluster_state c for update;
  if (select coalesce((select p.maintenance from pgkeeper.node_plan p where p.name = node), false)) = "on" then
    return false;
  end if;
  if "on" and is_master then
    raise exception 'set_maintenance: "%" is the master', node
      using errcode = 'object_not_in_prerequisite_state', hint = 'Make another node master first: SELECT pgkeeper.switchover().';
  elsif "on" and not accept_no_candidate and not exists (
      select from pgkeeper.node_info n left join pgkeeper.node_plan p on p.name = n.name
      where not n.is_master and n.name <> node and not coalesce(p.maintenance, false) and coalesce(p.priority, 1) > 0) then
    raise exception 'set_maintenance: "%" is the last node that could replace the master', node
      using errcode = 'object_not_in_prerequisite_state',
            hint = case when exists (select from pgkeeper.node_plan p join pgkeeper.node_info n on n.name = p.name
                                     where p.maintenance and not n.is_master and n.name <> node)
                        then 'End the maintenance of another node first. ' else '' end
                   || format('To go on though nobody could replace the master meanwhile: SELECT pgkeeper.set_maintenance(%L, true, accept_no_candidate => true).', node);
  end if;
  insert into pgkeeper.node_plan as p (name, maintenance) values (node, "on")
    on conflict (name) do update set maintenance = excluded.maintenance;
  insert into pgkeeper.events (epoch, node, code, sentence)
    values (epoch, node, case when "on" then 'maintenance-begun' else 'maintenance-ended' end,
            case when "on" then format('%s is in maintenance: no candidate, its server is left as it is', node)
                 else format('maintenance of %s is over', node) end);
  return true;
end
$$;

comment on function pgkeeper.set_maintenance(text, boolean, boolean) is
  'Puts a node into maintenance, or ends it: no candidate, and its worker leaves its server alone. False if it was so already.';
