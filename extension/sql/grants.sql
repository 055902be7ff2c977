-- Nothing for PUBLIC: conninfo may hold passwords, and indirect_polling connects wherever it is told to.
-- What a worker's role needs is in deploy/grants.sql.

revoke all on schema pgkeeper from public;
revoke all on all tables in schema pgkeeper from public;
revoke all on all sequences in schema pgkeeper from public;
revoke all on all functions in schema pgkeeper from public;
