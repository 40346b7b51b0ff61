"""Nodes as PostgreSQL processes of this host."""
