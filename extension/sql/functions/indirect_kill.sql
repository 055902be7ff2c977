-- Kept for old scripts, which told a worker by signal to read again. There is no signal any more: every worker listens.

create function pgkeeper.indirect_kill(signal text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  state record;
begin
  if signal is null or upper(signal) not in ('SIGUSR1', 'SIGUSR2') then
    raise exception 'unknown signal %', coalesce(quote_literal(left(signal, 63)), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'Allowed are ''SIGUSR1'' and ''SIGUSR2''; both tell every worker to read again now.';
  end if;
  perform pgkeeper.refuse_on_standby('indirect_kill');
  select c.version, c.epoch into strict state from pgkeeper.cluster_state c;
  perform pg_notify('pgkeeper', format('{"version":%s,"epoch":%s}', state.version, state.epoch));
  return true;
end
$$;

comment on function pgkeeper.indirect_kill(text) is 'Tells all workers to read the registry again; for old scripts.';
