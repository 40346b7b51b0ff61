-- Whether Citus keeps passwords here (the stand-in does not), and whether this project has noted any role.
select pg_catalog.to_regclass('pg_catalog.pg_dist_authinfo') is not null,
       pg_catalog.to_regclass('citus_pulumi.role') is not null
