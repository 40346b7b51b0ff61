"""The sharding plan: the schema combined with the settings, and checked. Pure."""
