-- Drops what an interrupted REINDEX CONCURRENTLY has left on the shards of a table: INVALID indexes with names that it made up.
-- Returns how many they were; the notices of a DO block do not reach the coordinator, so they are counted before.
with leftovers as materialized (
    select sum(result::int) as number
    from pg_catalog.run_command_on_placements(
        %(table_name)s::text::regclass,
        $command$
            select count(*)
            from pg_catalog.pg_index i
            join pg_catalog.pg_class c on c.oid = i.indexrelid
            where i.indrelid = '%%1$s'::regclass and not i.indisvalid and c.relname ~ '_cc(new|old)\d*$'
        $command$
    )
    where success
)
select number from leftovers
where number > 0 and exists (
    select from pg_catalog.run_command_on_placements(
        %(table_name)s::text::regclass,
        $command$
            do $do$
            declare
                leftover regclass;
            begin
                for leftover in
                    select i.indexrelid
                    from pg_catalog.pg_index i
                    join pg_catalog.pg_class c on c.oid = i.indexrelid
                    where i.indrelid = '%%1$s'::regclass and not i.indisvalid and c.relname ~ '_cc(new|old)\d*$'
                loop
                    execute 'drop index ' || leftover;
                end loop;
            end $do$
        $command$
    )
)
