-- As the table is whose rows it holds for a while: each of its shards lies beside the one that its rows go to.
select create_distributed_table(%(name)s, 'id_pais', colocate_with => %(table)s)
