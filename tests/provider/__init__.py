"""The dynamic providers and what is below them, on genuine PostgreSQL and genuine Citus. No Docker, no Pulumi engine."""
