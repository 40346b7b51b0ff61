select success, result
from pg_catalog.master_run_on_worker(array[%(name)s], array[%(port)s::integer], array[%(command)s], true)
