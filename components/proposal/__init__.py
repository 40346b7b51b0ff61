"""Proposes how a schema is sharded: its tenant column, and what each table becomes. Pure: reads relations and statistics."""
