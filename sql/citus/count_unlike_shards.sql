-- How many shards of either table have no partner of the same hashes on the same node in the other.
select count(*)
from (
    select shardminvalue, shardmaxvalue, groupid
    from pg_catalog.pg_dist_shard
    join pg_catalog.pg_dist_placement using (shardid)
    where logicalrelid = %(table)s::regclass
) mine
full join (
    select shardminvalue, shardmaxvalue, groupid
    from pg_catalog.pg_dist_shard
    join pg_catalog.pg_dist_placement using (shardid)
    where logicalrelid = %(other)s::regclass
) theirs using (shardminvalue, shardmaxvalue, groupid)
where mine is null or theirs is null
