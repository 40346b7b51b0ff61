"""Whole stacks, through the real engine."""
