-- Whether the server has a password in its environment, as an image's entry point may leave it there at the first start: its
-- sessions show that one to other nodes, whatever the passfile has. 504750415353574f52443d is PGPASSWORD=
select position(
    '\x00504750415353574f52443d'::bytea in '\x00'::bytea || pg_catalog.pg_read_binary_file(
        format('/proc/%s/environ', pg_catalog.split_part(pg_catalog.pg_read_file('postmaster.pid'), e'\n', 1))
    )
) > 0
