-- Shards on which an index is missing or INVALID, with their nodes. The name of a shard's index ends in the shard's number; PostgreSQL
-- takes 63 bytes, so that Citus puts a hash in the place of the end of a longer one.
select shardid, nodename || ':' || nodeport
from pg_catalog.run_command_on_placements(
    %(table_name)s::text::regclass,
    pg_catalog.replace(
        $command$
            select coalesce(bool_or(i.indisvalid and i.indisready), false)
            from pg_catalog.pg_index i
            join pg_catalog.pg_class c on c.oid = i.indexrelid
            cross join (select '_' || pg_catalog.substring('%%1$s', '(\d+)"?$')) s (ending)
            where i.indrelid = '%%1$s'::regclass and (
                c.relname = @name || ending
                or pg_catalog.octet_length(@name || ending) > 63
                    and c.relname ~ (ending || '$')
                    and pg_catalog.starts_with(c.relname, pg_catalog.left(@name, 40))
            )
        $command$,
        '@name',
        pg_catalog.replace(pg_catalog.quote_literal(%(name)s::text), '%%', '%%%%')
    )
)
where not success or result <> 't'
order by 1, 2
