-- Connections of this coordinator to all nodes.
select coalesce(sum(connection_count_to_node), 0)::integer from citus_remote_connection_stats()
