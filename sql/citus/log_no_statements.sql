-- Until the end of the transaction, the server writes nothing into its log: statements, parameters, or errors that quote them.
-- A setting of an extension that is not loaded is a mere name.
select pg_catalog.set_config('log_min_messages', 'panic', true),
       pg_catalog.set_config('pg_stat_statements.track_utility', 'off', true)
