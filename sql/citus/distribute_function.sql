select pg_catalog.create_distributed_function(
    %(function)s::regprocedure,
    %(argument)s,
    colocate_with => %(colocate_with)s,
    force_delegation => %(force_delegation)s
)
