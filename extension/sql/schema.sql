-- The schema of every object of pgkeeper.

create schema pgkeeper;

comment on schema pgkeeper is 'Registry of a failover cluster kept by pgkeeper. Nothing here is granted to PUBLIC.';
