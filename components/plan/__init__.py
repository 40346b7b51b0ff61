"""The sharding plan: the schema and the settings put together, and judged. Pure."""
