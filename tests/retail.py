"""The company of the stack dev: its schema, and how its tables are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

__all__ = ["RETAIL_SCHEMA", "RETAIL_TABLES"]

_ROOT: Final = Path(__file__).parents[1]
RETAIL_SCHEMA: Final = _ROOT / "sql" / "schema"
RETAIL_TABLES: Final[dict[str, Any]] = yaml.safe_load((_ROOT / "Pulumi.dev.yaml").read_text("utf-8"))["config"][
    "citus:tables"
]
