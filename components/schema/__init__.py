"""The schema as its SQL files define it, parsed by PostgreSQL's own grammar. Runs no SQL; knows nothing of sharding."""
