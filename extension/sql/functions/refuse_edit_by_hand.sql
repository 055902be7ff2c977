-- The workers and the functions go by node_info and witness_info, so a row that was added, removed or renamed without the checks of add_node and
-- del_node, an is_master that is not true, or an identity that no witness has, does harm long after. Only conninfo may be changed by hand.
-- This keeps accidents out, not intent:
--   the setting pg_keeper.edit_node_info lets its session through; the functions set it for themselves, workers for their transaction
--   workers of 0.1.0 know no such setting; as every worker's, their sessions are called 'pgk STATE NAME'
--   a registry without a master, or of another cluster, is open: it is being restored, or emptied before the nodes are registered
-- Called by the trigger that there has always been: a new trigger would lock node_info at an upgrade, and workers would wait for that.

create function pgkeeper.refuse_edit_by_hand(kind text, operation text, before jsonb, after jsonb) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  named  text := coalesce(before, after) ->> 'name';
  master text;
  edited text;
begin
  if current_setting('pg_keeper.edit_node_info', true) = 'on' or current_setting('application_name') like 'pgk %' then
    return;
  end if;
  if operation = 'UPDATE' then
    select string_agg(key, ', ') into edited
      from jsonb_each(before) b join jsonb_each(after) a using (key)
      where key <> 'conninfo' and a.value <> b.value;
    if edited is null then
      return;
    end if;
  end if;
  select c.master into master from pgkeeper.cluster_state c
    where c.system_identifier = (select s.system_identifier::text from pg_control_system() s);
  if master is null then
    return;
  end if;
  raise exception '%', case operation
      when 'INSERT' then format('%s "%s" cannot be registered by INSERT', kind, named)
      when 'UPDATE' then format('%s of %s "%s" cannot be changed by UPDATE', edited, kind, named)
      when 'DELETE' then format('%s "%s" cannot be removed by DELETE', kind, named)
      else format('the %s cannot be removed by TRUNCATE', case kind when 'node' then 'nodes' else 'witnesses' end) end
    using errcode = 'object_not_in_prerequisite_state',
          detail = format('The workers of this cluster go by pgkeeper.%s_info; by hand only its conninfo may be changed. To mend the table all the '
                          'same, in this session: SET pg_keeper.edit_node_info = on.', kind),
          hint = case
            when operation = 'INSERT' and kind = 'node' then format('SELECT pgkeeper.add_node(%L, ''...''); it checks the server first.', named)
            when operation = 'INSERT' then format('SELECT pgkeeper.add_witness(%L, ''...''); it checks the server first.', named)
            when kind = 'witness' and operation = 'TRUNCATE' then 'SELECT pgkeeper.del_witness(...);'
            when kind = 'witness' and operation = 'DELETE' then format('SELECT pgkeeper.del_witness(%L);', named)
            when kind = 'witness' then
              format('Add the server under another name, SELECT pgkeeper.add_witness(...), then remove this: SELECT pgkeeper.del_witness(%L).', named)
            when operation = 'TRUNCATE' or operation = 'DELETE' and named = master then
              'To give up the registry: DROP EXTENSION pg_keeper, or pgkeeper migrate --down. Single nodes: SELECT pgkeeper.del_node(...), '
              'the master after another has become master: SELECT pgkeeper.switchover().'
            when operation = 'DELETE' then format('SELECT pgkeeper.del_node(%L);', named)
            when edited ~ '\m(name|seqno)\M' then
              format('Remove it and register it anew: SELECT pgkeeper.del_node(%L); SELECT pgkeeper.add_node(...).', named)
            when edited ~ '\mis_master\M' then 'Another node becomes master by SELECT pgkeeper.switchover(...).'
            else format('The workers set it, by synchronous_standby_names and by SELECT pgkeeper.set_priority(%L, ...).', named) end;
end
$$;

comment on function pgkeeper.refuse_edit_by_hand(text, text, jsonb, jsonb) is
  'Refuses a change of node_info or witness_info by hand, save of conninfo, where workers go by it.';
