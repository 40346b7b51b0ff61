"""A sharded PostgreSQL cluster: settings → plan → cluster → outputs."""

import sys
from pathlib import Path

import pulumi

from components.cluster import CitusCluster
from components.engine import Engine
from components.errors import StackError
from components.plan import ShardingPlan
from components.schema import Schema
from components.settings import Settings

try:
    settings = Settings.load()
    plan = ShardingPlan.make(Schema.read(Path(settings.schema_dir)), settings.tables)
    engine = Engine(f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}")
    engine.check(settings)
except StackError as error:
    for line in str(error).splitlines():
        pulumi.log.error(line)
    sys.exit(1)

cluster = CitusCluster(settings.name_prefix, settings, plan, engine)
for name, value in cluster.outputs.items():
    pulumi.export(name, value)
