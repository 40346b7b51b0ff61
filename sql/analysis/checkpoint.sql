-- The nodes that could not write to disk what they have in memory; all others have.
select nodeid, result
from pg_catalog.run_command_on_all_nodes('checkpoint')
where not success
