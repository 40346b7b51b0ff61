-- Unregistering a node deletes the records of its two-phase commits. So does the daemon that recovers them, each minute; met by
-- it, citus_remove_node fails with "tuple concurrently deleted". This lock waits for the daemon, and lets nobody else commit on
-- several nodes until the node is gone.
lock table pg_catalog.pg_dist_transaction in share row exclusive mode
