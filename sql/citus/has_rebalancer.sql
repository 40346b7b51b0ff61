-- Whether Citus moves shards by background jobs here: since 11.3, and never with the stand-in.
select to_regprocedure('pg_catalog.citus_job_cancel(bigint)') is not null
