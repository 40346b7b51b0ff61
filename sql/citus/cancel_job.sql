select pg_catalog.citus_job_cancel(%(job)s)
