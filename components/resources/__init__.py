"""What lives in the cluster's database, as dynamic resources of Pulumi. Lifecycle alone: the work is in components/database/."""
