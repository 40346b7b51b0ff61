-- Writes down that this program started a job.
update pg_catalog.pg_dist_background_job set description = %(description)s where job_id = %(job)s
