"""What the SQL files say: parsed by PostgreSQL's own grammar. Runs no SQL and knows nothing of sharding."""
