select nodeid as node_id,
       groupid as group_id,
       nodename as node_name,
       nodeport as node_port,
       isactive as is_active,
       metadatasynced as metadata_synced,
       shouldhaveshards as should_have_shards
from pg_catalog.pg_dist_node
where (nodename, nodeport) = (%(name)s, %(port)s) or (groupid = %(group_id)s and noderole = 'primary')
