-- The cure for a join that cannot be on the country: a copy of the small table on every node.
select create_reference_table('sucursal')
