-- Another master, whatever it takes. Where the master takes writes that is a switchover, which loses nothing, and is asked for as one. Where it
-- is gone, a standby has no place for a request, and says where the word is given instead.

create function pgkeeper.failover(target text, accept_data_loss boolean default false) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  master text;
begin
  perform pgkeeper.check_planned_node('failover', target);
  if pg_is_in_recovery() then
    raise exception 'failover: this server is a standby, where no request can be written'
      using errcode = 'read_only_sql_transaction',
            hint = format('Where nobody is master and nobody will be, on any host: pgkeeper failover %s. Or in psql on that standby: the '
                          'function failover_here of this schema, which counts as long as the session lasts. A master that answers is '
                          'left by pgkeeper.switchover, run there.', quote_ident(target));
  end if;
  if accept_data_loss is null then
    raise exception 'failover: accept_data_loss must not be NULL'
      using errcode = 'null_value_not_allowed', hint = 'Give true or false.';
  end if;
  select n.name into master from pgkeeper.node_info n where n.is_master;
  if target = master then
    raise exception 'failover: "%" is the master already, and takes writes', target
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  raise notice 'the master "%" takes writes, so this is a switchover: nothing is lost', master;
  return pgkeeper.switchover(target);
end
$$;

comment on function pgkeeper.failover(text, boolean) is 'Asks the workers to make that node master: on a master that takes writes by a switchover. Returns the number of the request; see pgkeeper.requests.';
