"""What is done over a connection to the cluster. Knows nothing of Pulumi."""
