-- Ends hide_statement, so that what else the transaction does is logged as ever.

create function pgkeeper.show_statement(before text) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if before is not null then
    perform set_config('log_min_error_statement', before, true);
  end if;
end
$$;

comment on function pgkeeper.show_statement(text) is 'Ends hide_statement, with what that returned.';
