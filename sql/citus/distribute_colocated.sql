select create_distributed_table(%(table)s::regclass, %(column)s, colocate_with => %(colocate_with)s)
