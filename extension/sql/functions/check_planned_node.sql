-- Refuses a name that is no node's; true if it is the master's.

create function pgkeeper.check_planned_node(what text, node text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_master boolean;
  known        text;
begin
  if node is null or btrim(node) = '' then
    raise exception '%: the node must not be %', what, case when node is null then 'NULL' else 'empty' end
      using errcode = case when node is null then 'null_value_not_allowed' else 'invalid_parameter_value' end,
            hint = 'Give its name, as in pgkeeper.node_info.';
  end if;
  select n.is_master into found_master from pgkeeper.node_info n where n.name = node;
  if found then
    return found_master;
  end if;
  if exists (select from pgkeeper.witness_info w where w.name = node) then
    raise exception '%: "%" is a witness and has no data', what, node
      using errcode = 'invalid_parameter_value', hint = 'Name a node; SELECT name FROM pgkeeper.node_info shows them.';
  end if;
  select string_agg(n.name, ', ' order by n.seqno) into known from pgkeeper.node_info n;
  raise exception '%: no node is registered as "%"', what, left(node, 63)
    using errcode = 'invalid_parameter_value',
          hint = case when known is null then 'No node is registered at all; see pgkeeper.add_node.' else format('The nodes are: %s.', known) end;
end
$$;

comment on function pgkeeper.check_planned_node(text, text) is 'Refuses a name that is no node''s; true if it is the master''s.';
