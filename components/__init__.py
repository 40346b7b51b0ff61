"""A Citus cluster as Pulumi resources: settings → plan → cluster. Import each from its own module.

Small on purpose: the process that runs the dynamic providers imports this package at every start.
"""

from components import registry as registry
