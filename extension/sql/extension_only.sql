-- What only an extension needs: pg_dump leaves out the rows of an extension's tables unless they are named here.
-- cluster_state, node_state, cluster_plan and requests are left out on purpose: they are facts about one running cluster, and a database restored
-- from a dump is another one (another system identifier), whose workers must not believe them.

select pg_catalog.pg_extension_config_dump('pgkeeper.node_info', '');
select pg_catalog.pg_extension_config_dump('pgkeeper.node_info_seqno_seq', '');
select pg_catalog.pg_extension_config_dump('pgkeeper.witness_info', '');
select pg_catalog.pg_extension_config_dump('pgkeeper.node_plan', '');
select pg_catalog.pg_extension_config_dump('pgkeeper.events', '');
select pg_catalog.pg_extension_config_dump('pgkeeper.events_id_seq', '');
