-- In place of the setting pg_keeper.priority of that server, for all workers at once. NULL gives it back to the setting.

create function pgkeeper.set_priority(node text, priority integer) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
  epoch bigint;
begin
  perform pgkeeper.refuse_on_standby('set_priority');
  perform pgkeeper.check_planned_node('set_priority', node);
  if priority not between 0 and 1000000 then
    raise exception 'set_priority: % is out of range', priority
      using errcode = 'invalid_parameter_value', hint = 'Give 0 (never master) to 1000000, the higher is preferred; NULL: the setting of that server counts.';
  end if;
  select c.epoch into strict epoch from pgkeeper.cluster_state c for update;
  if (select p.priority from pgkeeper.node_plan p where p.name = node) is not distinct from set_priority.priority then
    return false;
  end if;
  insert into pgkeeper.node_plan as p (name, priority) values (node, set_priority.priority)
    on conflict (name) do update set priority = excluded.priority;
  insert into pgkeeper.events (epoch, node, code, sentence)
    values (epoch, node, 'priority-set',
            case when priority is null then format('the setting of %s is its priority again', node)
                 else format('priority of %s is %s', node, priority) end);
  return true;
end
$$;

comment on function pgkeeper.set_priority(text, integer) is 'Sets the priority of a node: 0 = never master, NULL = the setting of its server counts.';
