"""What a plan costs over the number of tables, in time and memory: a curve, for dumps as pg_dump writes them.

Each plan runs in a process of its own. Usage: python -m benchmarks.plans [TABLES …]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.machine import describe
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.schema.files import Schema
from components.settings import TableSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTS: Final = (100, 200, 400, 800, 2_000)
ROWS: Final = 100
"""Of each table, in one INSERT of about 10 kB."""


def write_dump(folder: Path, tables: int) -> None:
    """Write the dump of a database of one company's tables, each of them with two or three foreign keys, and rows."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dump.sql").open("w", encoding="utf-8") as file:
        file.writelines(f"{statement}\n" for statement in _dump(tables))


def _dump(tables: int) -> Iterator[str]:
    yield "SET check_function_bodies = false;\nSELECT pg_catalog.set_config('search_path', '', false);"
    yield "CREATE TABLE public.company (id bigint NOT NULL, name text);"
    for n in range(tables):
        yield _definition(n)
    yield "ALTER TABLE ONLY public.company ADD CONSTRAINT company_pkey PRIMARY KEY (id);"
    for n in range(tables):
        yield _rows(n)
    for n in range(tables):
        yield f"ALTER TABLE ONLY public.t{n} ADD CONSTRAINT t{n}_pkey PRIMARY KEY (company_id, id);"
        yield f"CREATE INDEX t{n}_name ON public.t{n} USING btree (name);"
    for n in range(tables):
        yield _foreign_key(n, "company_id", "company")
        yield _foreign_key(n, "parent_id", f"t{n // 2}")
        if n % 2:
            yield _foreign_key(n, "other_id", f"t{n // 3}")


def _definition(n: int) -> str:
    body = "\n".join(f"    -- {line:03} what the trigger of table {n} has to say about the row" for line in range(120))
    return f"""CREATE TABLE public.t{n} (
    company_id bigint NOT NULL,
    id bigint NOT NULL,
    parent_id bigint,
    other_id bigint,
    name character varying(255) DEFAULT 'x'::character varying,
    amount numeric(12,2),
    created_at timestamp without time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.t{n} OWNER TO app;
COMMENT ON TABLE public.t{n} IS 'Table {n}';
CREATE SEQUENCE public.t{n}_id_seq START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
ALTER SEQUENCE public.t{n}_id_seq OWNED BY public.t{n}.id;
ALTER TABLE ONLY public.t{n} ALTER COLUMN id SET DEFAULT nextval('public.t{n}_id_seq'::regclass);
CREATE FUNCTION public.f{n}() RETURNS trigger LANGUAGE plpgsql AS $$
begin
{body}
    return new;
end $$;
CREATE VIEW public.v{n} AS SELECT company_id, count(*) AS n FROM public.t{n} GROUP BY company_id;"""


def _rows(n: int) -> str:
    rows = ",\n".join(
        f"({row % 7}, {row}, NULL, NULL, 'the name of row {row:06} of table {n:05}', {row}.25, '2026-01-01 10:{row % 60:02}')"
        for row in range(ROWS)
    )
    return f"INSERT INTO public.t{n} VALUES\n{rows};"


def _foreign_key(n: int, column: str, parent: str) -> str:
    columns, target = ("company_id", "id") if parent == "company" else (f"company_id, {column}", "company_id, id")
    return (
        f"ALTER TABLE ONLY public.t{n} ADD CONSTRAINT t{n}_{column}_fkey FOREIGN KEY ({columns}) REFERENCES "
        f"public.{parent}({target}) ON DELETE CASCADE;"
    )


def _settings(tables: int) -> dict[TableName, TableSettings]:
    root = {TableName("public", "company"): TableSettings.model_validate({"distributeBy": "id"})}
    member = TableSettings.model_validate({"distributeBy": "company_id", "colocateWith": "company"})
    return root | {TableName("public", f"t{n}"): member for n in range(tables)}


def _plan(folder: Path, tables: int) -> None:
    """Plan the dump of a folder in this process, and print the figures as JSON."""
    start = time.perf_counter()
    plan = ShardingPlan.draft(Schema.read(folder), _settings(tables))
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "MB": memory, "errors": [str(it) for it in plan.errors[:3]]}))


def main(counts: tuple[int, ...]) -> None:
    """Print the curve."""
    print(describe())
    print(f"{'tables':>8}{'SQL, MB':>10}{'plan, s':>10}{'ms a table':>12}{'memory, MB':>12}")
    for tables in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_dump(folder, tables)
            size = (folder / "dump.sql").stat().st_size / 1e6
            code = f"from pathlib import Path; from benchmarks import plans; plans._plan(Path({name!r}), {tables})"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        made = json.loads(done.stdout)
        if made["errors"]:
            sys.exit("\n".join(made["errors"]))
        took = made["seconds"]
        print(f"{tables:>8}{size:>10.1f}{took:>10.2f}{took / tables * 1000:>12.2f}{made['MB']:>12.0f}")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or COUNTS)
