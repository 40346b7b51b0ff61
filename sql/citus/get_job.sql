-- A background job of the rebalancer with its tasks: that one, or the one that has not ended.
select j.job_id,
       j.state::text,
       j.description,
       coalesce(json_agg(json_build_object(
           'status', t.status::text,
           'shard', substring(t.command from 'citus_move_shard_placement\((\d+)')::bigint,
           'message', t.message,
           'retries', coalesce(t.retry_count, 0),
           'pid', t.pid
       ) order by t.task_id) filter (where t.task_id is not null), '[]')
from pg_catalog.pg_dist_background_job j
left join pg_catalog.pg_dist_background_task t using (job_id)
where j.job_type = 'rebalance'
  and case when %(job)s::bigint is null then j.state not in ('finished', 'cancelled', 'failed') else j.job_id = %(job)s::bigint end
group by j.job_id
order by j.job_id desc
limit 1
