update citus_pulumi.restored set proved_at = now() where proved_at is null
