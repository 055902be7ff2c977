-- Removes a witness: true if removed, false if unknown. What it kept stays there until another witness of this cluster is kept on the
-- same server, and is never read again.

create function pgkeeper.del_witness(name text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set lock_timeout = '60s'
set pg_keeper.edit_node_info = 'on'
as $$
begin
  perform pgkeeper.refuse_on_standby('del_witness');
  if name is null then
    raise exception 'the witness to remove must not be NULL'
      using errcode = 'null_value_not_allowed', hint = 'Give its name, as in pgkeeper.witness_info.';
  end if;
  lock table pgkeeper.node_info in share update exclusive mode;
  if not exists (select from pgkeeper.witness_info w where w.name = del_witness.name) then
    return false;
  end if;
  perform from pgkeeper.cluster_state c for update;
  delete from pgkeeper.witness_info w where w.name = del_witness.name;
  insert into pgkeeper.events (epoch, node, code, sentence, details)
    select c.epoch, del_witness.name, 'witness-removed', format('%s is no witness any more', del_witness.name),
           jsonb_build_object('version', c.version)
    from pgkeeper.cluster_state c;
  return true;
end
$$;

comment on function pgkeeper.del_witness(text) is 'Removes a witness: true if removed, false if unknown.';
