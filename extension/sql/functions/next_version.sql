-- The version a change of the registry gets: one more, but only once for each transaction, however many statements it has.
-- The mark is a setting of the transaction, so a rolled back savepoint takes it back together with the change.
-- Call it only with the row of cluster_state locked.

create function pgkeeper.next_version(present bigint) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  this text := pg_current_xact_id()::text;
begin
  if current_setting('pg_keeper.version_raised_by', true) = this then
    return present;
  end if;
  perform set_config('pg_keeper.version_raised_by', this, true);
  return present + 1;
end
$$;

comment on function pgkeeper.next_version(bigint) is 'The version a change of the registry gets in this transaction.';
