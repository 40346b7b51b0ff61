-- Citus names a two-phase commit by the process and a number that begins again with each start of the server, and keeps a record
-- of it for a minute. In a container, where processes get the same numbers again, a new one would meet the old one's record.
select pg_catalog.recover_prepared_transactions()
