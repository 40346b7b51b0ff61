"""Proposals from a live database, carried out: the columns added and filled there, the settings on a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from cli.propose import propose_command
from components.errors import SourceError
from components.names import TableName
from components.plan.plan import ShardingPlan
from components.proposal.backfill import PAGES
from components.schema.files import Schema
from components.schema.statements import SqlFile
from components.settings import Settings
from tests.corpus.runner import carry_out
from tests.servers import HOST, PASSWORD, USER, find_installation, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider.resources import Cluster
    from tests.servers import PostgresServer

CENTRAL = (Path(__file__).parents[1] / "schemas" / "central" / "central.sql").read_text("utf-8")


@pytest.fixture
def source(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database of its own, without the password, which a person keeps elsewhere."""
    with postgres_server.connect() as connection:
        connection.execute("create database central")
    yield make_conninfo(host=HOST, port=postgres_server.port, user=USER, password=PASSWORD, dbname="central")
    postgres_server.drop_database("central")


def config(file: Path) -> dict[str, object]:
    """Return the settings of a file."""
    found: dict[str, object] = yaml.safe_load(file.read_text("utf-8"))["config"]
    return found


def run(postgres_server: PostgresServer, file: Path) -> None:
    """Run a file as a person does, with psql; it has to succeed."""
    installation = find_installation()
    assert installation
    done = subprocess.run(
        [installation.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file],
        env={
            **os.environ,
            "PGHOST": HOST,
            "PGPORT": str(postgres_server.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "central",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("postgres")
def test_statistics_of_a_live_database_decide(postgres_server: PostgresServer, source: str, tmp_path: Path) -> None:
    """Four countries of a quarter each: a worker for every one, few shards; sizes are told, and no password is."""
    with postgres_server.connect("central") as connection:
        connection.execute(CENTRAL.encode())
        connection.execute("analyze")
    propose_command(source, tmp_path / "central.yaml", "")
    assert config(tmp_path / "central.yaml") == {
        "citus:shardCount": 8,
        "citus:tables": {
            "sucursal": {"distributeBy": "id_pais"},
            "producto": {"distributeBy": "id_pais", "colocateWith": "sucursal"},
            "venta": {"distributeBy": "id_pais", "colocateWith": "sucursal"},
            "detalle_venta": {"distributeBy": "id_pais", "colocateWith": "sucursal"},
            "metodo_pago": {"reference": True},
            "cupon": {"reference": True},
        },
        "citus:tenants": {"sucursal": {"spread": [1, 2, 3, 4]}},
    }
    written = (tmp_path / "central.yaml").read_text() + (tmp_path / "central.sql").read_text()
    assert "about 4 values; the biggest, 1, has 25% of the rows" in " ".join(written.replace("#", "").split())
    assert PASSWORD not in written


@pytest.mark.needs("postgres")
def test_missing_columns_are_filled_in_batches_and_again(
    postgres_server: PostgresServer, source: str, tmp_path: Path
) -> None:
    """Every row gets its parent's value, over more pages than one batch; a second run changes nothing."""
    sql = """
        create table tenant (id int primary key);
        create table "Order" (id int primary key, tenant_id int not null references tenant);
        create table "the line" (id int, "order" int not null references "Order", at date, filler text)
            partition by range (at);
        create table line_1 partition of "the line" for values from ('2026-01-01') to ('2026-02-01');
        create table line_2 partition of "the line" default;
        alter table line_1 alter filler set storage plain;
        insert into tenant select generate_series(1, 3);
        insert into "Order" select n, 1 + n % 3 from generate_series(1, 99) n;
        insert into "the line" select n, 1 + n % 99, '2026-01-15', repeat('x', 7000) from generate_series(1, 3000) n;
        insert into "the line" select n, 1 + n % 99, '2027-01-15', 'x' from generate_series(3001, 3100) n;
        analyze
    """
    with postgres_server.connect("central") as connection:
        connection.execute(sql.encode())
        pages = connection.execute("select pg_relation_size('line_1') / 8192").fetchone()
        assert pages
        assert pages[0] > PAGES
        propose_command(source, tmp_path / "p.yaml", "tenant.id")
        run(postgres_server, tmp_path / "p.sql")
        wrong = """
            select count(*) from "the line" l join "Order" o on o.id = l."order" where l.tenant_id is distinct from o.tenant_id
        """
        versions = """select count(*), count(distinct xmin::text), sum(hashtext(l::text || ctid)) from "the line" l"""
        assert connection.execute(wrong.encode()).fetchone() == (0,)
        before = connection.execute(versions.encode()).fetchone()
        assert before
        assert before[0] == 3100
        assert before[1] > 1  # several transactions
        run(postgres_server, tmp_path / "p.sql")
        assert connection.execute(versions.encode()).fetchone() == before
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute("""insert into "the line" values (1, 1, '2026-01-01', '')""")


@pytest.mark.needs("postgres")
def test_rows_that_find_no_value_stop_the_file(postgres_server: PostgresServer, source: str, tmp_path: Path) -> None:
    """It says of which table and what to do; the column is not declared NOT NULL."""
    sql = """
        create table tenant (id int primary key);
        create table o (id int primary key, tenant_id int not null references tenant);
        create table l (id int, o int references o);
        insert into l values (1, null)
    """
    with postgres_server.connect("central") as connection:
        connection.execute(sql.encode())
    propose_command(source, tmp_path / "p.yaml", "")
    with pytest.raises(
        AssertionError, match=r"l has rows without tenant_id\n\s*HINT:  give those .* one, or delete them"
    ):
        run(postgres_server, tmp_path / "p.sql")


@pytest.mark.needs("postgres")
def test_nothing_can_be_written_and_nobody_is_waited_for_long(
    postgres_server: PostgresServer, source: str, tmp_path: Path
) -> None:
    """A session that reads for a proposal is read-only, and every statement and lock of it has a limit."""
    from components.database.catalogue import reading  # noqa: PLC0415

    names = ("transaction_read_only", "statement_timeout", "lock_timeout")
    with reading(source, "FROM") as connection:
        shown = [connection.execute(f"show {it}").fetchone() for it in names]
    assert [next(iter(it.values())) for it in shown if it] == ["on", "1min", "5s"]
    with pytest.raises(SourceError, match="read-only transaction"), reading(source, "FROM") as connection:
        connection.execute("create table t ()")
    gone = make_conninfo(source, port=free_port(), password="s3cret")
    with pytest.raises(SourceError, match="cannot be read: connection failed") as refused, reading(gone, "FROM"):
        pass
    assert "s3cret" not in str(refused.value)


@pytest.mark.needs("citus")
def test_a_proposal_is_carried_out(cluster: Cluster, tmp_path: Path) -> None:
    """The central schema, the SQL beside the proposal and the key that the plan names: every table is as proposed."""
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "010.sql").write_text(CENTRAL)
    propose_command(str(folder), tmp_path / "p.yaml", "")
    keys = "alter table venta drop constraint venta_folio_key, add unique (id_pais, folio);"
    files = [
        SqlFile("010.sql", CENTRAL),
        SqlFile("020.sql", (tmp_path / "p.sql").read_text()),
        SqlFile("030.sql", keys),
    ]
    tables = config(tmp_path / "p.yaml")["citus:tables"]
    given = Settings.parse({"password": "x", "tables": json.dumps(tables), "shardCount": "4"}, stack="test")
    plan = ShardingPlan.make(Schema(files), given)
    with cluster.connected() as connection:
        assert carry_out(connection, plan) == ""
        query = "select logicalrelid::regclass::text, partmethod::text from pg_dist_partition order by 1"
        assert dict(connection.execute(query).fetchall()) == {
            "cupon": "n",
            "detalle_venta": "h",
            "metodo_pago": "n",
            "producto": "h",
            "sucursal": "h",
            "venta": "h",
        }
        rows = connection.execute("select count(*), count(distinct id_pais) from detalle_venta").fetchone()
        assert rows == (60000, 4)
    assert TableName.parse("detalle_venta") in {it.name for it in plan.tables}
