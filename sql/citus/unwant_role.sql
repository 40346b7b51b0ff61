update citus_pulumi.role set wanted = false where oid = %(oid)s::bigint::oid
