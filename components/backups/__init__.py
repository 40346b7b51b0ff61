"""Backups of a cluster: what the settings say of them, what pgBackRest is given, and what a repository holds. Pure."""
