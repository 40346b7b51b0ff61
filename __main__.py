"""A sharded PostgreSQL cluster: settings → plan → cluster → outputs."""

import atexit
import gc
import os
import signal
import sys
import threading
from pathlib import Path

import pulumi

from components.cluster import CitusCluster
from components.dangers import find_dangers, judge
from components.errors import StackError
from components.nodes.runtime import open_runtime
from components.plan.later import Standing
from components.plan.plan import ShardingPlan
from components.plan.tenants import plan_tenants
from components.schema.files import Schema
from components.stack_config import load_settings

ERROR_WAS_SHOWN = 32
"""Exit code by which Pulumi's language host knows that the program has told the person what is wrong."""

if threading.current_thread() is threading.main_thread():
    # When a resource fails, Pulumi interrupts the program, which has nothing left to do: no traceback, no waiting.
    signal.signal(signal.SIGINT, lambda *_: os._exit(ERROR_WAS_SHOWN))

atexit.register(gc.freeze)  # else the interpreter looks through all objects once more before it ends, for 0.2 s

try:
    settings = load_settings()
    schema = Schema.read(Path(settings.schema_dir))
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    runtime = open_runtime(stack, settings)
    look = runtime.look(settings)
    standing = Standing(look.live.scripts, look.live.tables) if look.live else None
    server = look.server.or_else(runtime.expect(settings))
    plan = ShardingPlan.make(schema, settings, standing, server)
    for warning in (*look.warnings, *plan.warnings):
        pulumi.log.warn(str(warning))
    tenancies = plan_tenants(plan, schema, settings, look.hosts)
    settings.refuse_parameters(look.live.parameters if look.live else {}, server.postgres)
    if told := judge(settings, look.live, list(find_dangers(settings, plan, look.live, look.restarts))):
        pulumi.log.warn(told)
    runtime.check(settings)
except StackError as error:
    pulumi.log.error(str(error))
    sys.exit(ERROR_WAS_SHOWN)

cluster = CitusCluster(settings.name_prefix, settings, plan, tenancies, runtime, look)
for name, value in cluster.outputs.items():
    pulumi.export(name, value)
