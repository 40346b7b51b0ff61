"""How property tests run: the same examples every time, and no deadline, which a busy machine would miss."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "unit",
    derandomize=True,
    deadline=None,
    max_examples=int(os.environ.get("CITUS_PULUMI_EXAMPLES", "30")),  # for each property; 1000 take a minute or two
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unit")
