-- Keeps the text of a failing statement out of the server's log, for functions that are called with a conninfo: PostgreSQL logs the
-- statement with every error (log_min_error_statement), a password in it too. Returns what was set, for show_statement. It holds for the
-- transaction only. A role that may not set it (superuser, or the grant of deploy/grants.sql) changes nothing.

create function pgkeeper.hide_statement() returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  before text := current_setting('log_min_error_statement');
begin
  perform set_config('log_min_error_statement', 'panic', true);
  return before;
exception when insufficient_privilege then
  return null;
end
$$;

comment on function pgkeeper.hide_statement() is 'Keeps a failing statement out of the log until show_statement, or the end of the transaction.';
