-- A worker that is to leave, for a transaction that is rolled back: the planner puts nothing there, and no node is told.
update pg_catalog.pg_dist_node set shouldhaveshards = false where nodename = %(name)s and nodeport = %(port)s
