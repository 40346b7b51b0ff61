"""The stack's settings: what each takes, and one clear error for each thing that is wrong."""

from __future__ import annotations

import contextvars
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pulumi.runtime import set_all_config
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticUndefined

from components.errors import SettingsError
from components.names import ColumnName, RoleName, SchemaName, TableName
from components.settings import (
    STRUCTURED,
    PoolerSettings,
    RebalanceSettings,
    Settings,
    TableSettings,
    refuse_plain_passwords,
)
from components.stack_config import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))
PASSWORD = "Contraseña:1/2@x"


def parse(stack: str = "test", **values: str) -> Settings:
    """Read settings as Pulumi hands them over, with a password."""
    return Settings.parse({"password": PASSWORD, **values}, stack=stack)


def refusal(stack: str = "test", **values: str) -> str:
    """Return the error for the settings."""
    with pytest.raises(SettingsError) as caught:
        parse(stack, **values)
    return str(caught.value)


def tables(declared: object) -> str:
    """Write the setting `tables` as Pulumi hands it over."""
    return json.dumps(declared)


# --- what they take --------------------------------------------------------------------------------------------------


def test_a_password_is_all_that_a_stack_must_set() -> None:
    """Everything but the password has a default, and the defaults are the demonstration's topology."""
    given = parse()
    assert given.password.get_secret_value() == PASSWORD
    assert given.model_dump(exclude={"password"}) == {
        "runtime": "docker",
        "image": "citusdata/citus:12.1",
        "adopt": "",
        "workers": 4,
        "port": 5437,
        "bind_address": "127.0.0.1",
        "database": "coorddb",
        "user": "postgres",
        "locale": "",
        "tls": "",
        "certificate_days": 730,
        "certificate_names": "",
        "hosts": {},
        "host_of": {},
        "node_ports": "5505-5568",
        "network": "citusnet",
        "name_prefix": "citus",
        "shard_count": 32,
        "schema_dir": Path("sql/schema"),
        "tables": {},
        "tenants": {},
        "schemas": {},
        "functions": {},
        "rebalance": RebalanceSettings().model_dump(),
        "pooler": None,
        "backup": None,
        "require_backup": "",
        "restore_from": None,
        "restore_workers": "",
        "entry": "coordinator",
        "parameters": {},
        "coordinator_parameters": {},
        "worker_parameters": {},
        "memory": "",
        "cpus": "",
        "roles": {},
        "ready_timeout": 120,
        "worker_ports": "5441-5504",
        "data_dir": "",
        "postgres_bin": "",
        "stand_in": False,
        "unsafe_triggers": False,
    }


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("image", "registry.local:5000/citus:12.1-pg15", "registry.local:5000/citus:12.1-pg15"),
        ("workers", "1", 1),
        ("workers", "64", 64),
        ("port", "1", 1),
        ("port", "65535", 65535),
        ("bindAddress", "0.0.0.0", "0.0.0.0"),
        ("bindAddress", "::1", "::1"),
        ("bindAddress", "0:0:0:0:0:0:0:1", "::1"),
        ("database", "Mi base ñ", "Mi base ñ"),
        ("database", "d" * 63, "d" * 63),
        ("user", "admin", "admin"),
        ("locale", "es_CO.UTF-8", "es_CO.UTF-8"),
        ("locale", "C", "C"),
        ("network", "my-net.1", "my-net.1"),
        ("namePrefix", "retail_2", "retail_2"),
        ("shardCount", "1", 1),
        ("shardCount", "64000", 64000),
        ("schemaDir", "/srv/sql", Path("/srv/sql")),
        ("readyTimeout", "86400", 86400),
        ("runtime", "local", "local"),
        ("workerPorts", "1-65535", "1-65535"),
        ("dataDir", "/srv/data", "/srv/data"),
        ("standIn", "true", True),
        ("tables", "{}", {}),
        ("rebalance", "true", RebalanceSettings()),
        ("rebalance", "{}", RebalanceSettings()),
        ("pooler", "false", None),
        ("pooler", "true", PoolerSettings()),
        ("pooler", '{"poolSize": 64}', PoolerSettings(poolSize=64)),
        ("rebalance", "false", None),
        (
            "rebalance",
            '{"strategy": "by_shard_count", "threshold": 0.25, "parallel": 4, "transferMode": "block_writes"}',
            RebalanceSettings(strategy="by_shard_count", threshold=0.25, parallel=4, transferMode="block_writes"),
        ),
        (
            "tables",
            tables({'App."Línea"': {"distributeBy": "ID", "colocateWith": "venta", "primaryKey": ["id", '"N"']}}),
            {
                TableName("app", "Línea"): TableSettings(
                    distributeBy=ColumnName("id"),
                    colocateWith=TableName("public", "venta"),
                    primaryKey=(ColumnName("id"), ColumnName("N")),
                )
            },
        ),
        (
            "tables",
            tables({"a": {"reference": True}, "b": {"distributeBy": "x", "reference": False}}),
            {
                TableName("public", "a"): TableSettings(reference=True),
                TableName("public", "b"): TableSettings(distributeBy=ColumnName("x")),
            },
        ),
    ],
)
def test_a_setting_is_read_from_the_text_that_pulumi_hands_over(setting: str, text: str, value: object) -> None:
    """Every setting arrives as a string, numbers and mappings too, and becomes its own type."""
    field = next(name for name in Settings.model_fields if to_camel(name) == setting)
    assert getattr(parse(**{setting: text}), field) == value


def test_tables_that_are_to_be_local_stand_apart() -> None:
    """The tables of the plan are those that are sharded; a table that is named twice is refused all the same."""
    given = {"a": {"undistribute": True}, "b": {"distributeBy": "x", "rewrite": True}, "s.c": {"undistribute": True}}
    settings = parse(tables=tables(given))
    assert settings.undistributed == (TableName("public", "a"), TableName("s", "c"))
    assert settings.tables == {TableName("public", "b"): TableSettings(distributeBy=ColumnName("x"), rewrite=True)}
    assert "names a table twice" in refusal(tables=tables({"a": {"undistribute": True}, "A": {"undistribute": True}}))
    assert "names a table twice" in refusal(tables=tables({"a": {"undistribute": True}, "A": {"reference": True}}))


@pytest.mark.parametrize("password", ["x", " ", "0000 ", "'; drop --", "ñ" * 1000, '{"a": 1}', "123"])
def test_a_password_is_kept_to_the_letter(password: str) -> None:
    """Any one line of 1 to 1000 characters is a password, and nothing of it is stripped or read as a number."""
    assert parse(password=password).password.get_secret_value() == password


def test_the_demonstrations_password_is_for_the_demonstrations_stack() -> None:
    """The stack dev may use the published password."""
    assert parse("dev", password="0000").password.get_secret_value() == "0000"


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "text", "reason"),
    [
        ("runtime", "podman", "'docker' or 'local'"),
        ("standIn", "perhaps", "valid boolean"),
        *(
            ("workerPorts", text, "expected a range of ports")
            for text in ("", "5441", "5450-5441", "0-9", "1-65536", "a-b")
        ),
        ("workers", "0", "greater than or equal to 1"),
        ("workers", "65", "less than or equal to 64"),
        ("workers", "-1", "greater than or equal to 1"),
        ("workers", "four", "valid integer"),
        ("workers", "2.5", "valid integer"),
        ("workers", "", "valid integer"),
        ("workers", "true", "valid integer"),
        ("workers", "[4]", "valid integer"),
        ("port", "0", "greater than or equal to 1"),
        ("port", "70000", "less than or equal to 65535"),
        ("port", "http", "valid integer"),
        ("port", "5437/tcp", "valid integer"),
        ("shardCount", "0", "greater than or equal to 1"),
        ("shardCount", "64001", "less than or equal to 64000"),
        ("readyTimeout", "0", "greater than or equal to 1"),
        ("readyTimeout", "2 min", "valid integer"),
        ("bindAddress", "localhost", "127.0.0.1 for this machine alone"),
        ("bindAddress", "300.1.1.1", "127.0.0.1 for this machine alone"),
        ("bindAddress", "127.0.0.1:5437", "127.0.0.1 for this machine alone"),
        ("bindAddress", "", "127.0.0.1 for this machine alone"),
        ("image", "", "at least 1 character"),
        ("image", "citus 12", "match pattern"),
        ("database", "", "at least 1 character"),
        ("database", "d" * 64, "at most 63 bytes"),
        ("database", "ñ" * 32, "at most 63 bytes"),
        ("database", "a\nb", "printable"),
        ("user", "", "at least 1 character"),
        ("user", "a\0", "printable"),
        ("locale", "es_CO", "no locale of UTF-8: expected C, POSIX or one such as es_CO.UTF-8"),
        ("locale", "es_CO.ISO-8859-1", "no locale of UTF-8"),
        ("locale", "C.UTF-8 --data-checksums", "no locale of UTF-8"),
        ("network", "", "match pattern"),
        ("network", "-net", "match pattern"),
        ("namePrefix", "a b", "match pattern"),
        ("namePrefix", "a\n", "match pattern"),
        ("namePrefix", "n" * 41, "at most 40 characters"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name_value_and_reason(setting: str, text: str, reason: str) -> None:
    """One line names the setting as Pulumi.yaml spells it, shows its value and says what it must be."""
    message = refusal(**{setting: text})
    assert message.startswith(f"citus:{setting} = {text!r}: ")
    assert reason in message
    assert message.count("\n") == 0


@pytest.mark.parametrize("setting", ["worker", "Workers", "bind_address", "name_prefix", "shards", "tables.venta", ""])
def test_an_unknown_setting_is_refused_with_those_that_there_are(setting: str) -> None:
    """A misspelt setting is never ignored: the error tells to remove it and lists every setting."""
    message = refusal(**{setting: "x"})
    assert message.startswith(f"citus:{setting}: unknown setting, remove it; valid ones are ")
    assert message.split("valid ones are ")[1].split(", ") == sorted(PROJECT["config"])


def test_each_wrong_setting_has_a_line_of_its_own() -> None:
    """A person sees everything that is wrong at once."""
    lines = refusal(workers="0", port="x", nope="1").splitlines()
    assert sorted(line.split()[0].rstrip(":") for line in lines) == ["citus:nope", "citus:port", "citus:workers"]


def test_a_pooler_that_cannot_be_is_refused() -> None:
    """With the part that is wrong, and the way out."""
    assert "citus:pooler.port = 5437: that is the coordinator's own (citus:port)" in refusal(pooler='{"port": 5437}')
    assert "citus:pooler.prt is unknown: the pooler takes port, image, poolSize" in refusal(pooler='{"prt": 1}')
    assert "citus:pooler.poolSize = 0" in refusal(pooler='{"poolSize": 0}')
    assert "citus:pooler: it runs in a container of its own: remove it" in refusal(pooler="true", runtime="local")
    assert "clients enter a worker by its pooler: set citus:pooler" in refusal(entry="anyNode")
    any_node = {"pooler": "true", "entry": "anyNode"}
    assert "1 ports are too few for 4 workers: widen it" in refusal(workerPorts="6500-6500", **any_node)
    assert "citus:pooler.port = 6432: workerPorts gives this port to a worker" in refusal(
        workerPorts="6430-6440", **any_node
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yes", "citus:rebalance: expected a mapping of its settings, true or false, got 'yes'"),
        ("[0.1]", "citus:rebalance: expected a mapping of its settings, true or false, got '[0.1]'"),
        ('{"threshold": 10}', "citus:rebalance.threshold = 10: Input should be less than or equal to 1"),
        ('{"threshold": NaN}', "citus:rebalance.threshold = NaN"),
        ('{"parallel": 0}', "citus:rebalance.parallel = 0: Input should be greater than or equal to 1"),
        ('{"strategy": ""}', "citus:rebalance.strategy = ''"),
    ],
)
def test_a_wrong_rebalance_is_refused_by_the_part_that_is_wrong(text: str, said: str) -> None:
    """One line, with what it takes."""
    message = refusal(rebalance=text)
    assert said in message
    assert message.count("\n") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "[]", "null", "true", "3", '"a"', "{", '{"a": }', "NaN", "[" * 100_000, '{"a":' * 100_000),
        '{"a": ' + "1" * 5000 + "}",
        '{"\\ud800": {"reference": true}}',
        '{"a": {"distributeBy": "\\udfff"}}',
    ],
    ids=lambda text: text[:12],
)
def test_tables_must_be_a_mapping(text: str) -> None:
    """Whatever `tables` holds that is no mapping, or no JSON, or no text, is refused as such."""
    assert refusal(tables=text).startswith("citus:tables: expected a mapping of table names, got ")


@pytest.mark.parametrize(
    ("declared", "where", "reason"),
    [
        ({"venta": {}}, "venta = {}", "say how the table is sharded: distributeBy: <column>, or reference: true"),
        ({"venta": {"reference": False}}, "venta", "say how the table is sharded"),
        ({"venta": {"colocateWith": "a"}}, "venta", "say how the table is sharded"),
        ({"venta": {"distributeBy": None}}, "venta", "say how the table is sharded"),
        ({"venta": None}, "venta = null", "valid dictionary"),
        ({"venta": "id_pais"}, "venta = 'id_pais'", "valid dictionary"),
        (
            {"venta": {"shardBy": "a"}},
            "venta.shardBy",
            "a table takes distributeBy, colocateWith, primaryKey, reference, rewrite, undistribute",
        ),
        ({"venta": {"distribute_by": "a"}}, "venta.distribute_by", "a table takes distributeBy"),
        ({"venta": {"reference": True, "distributeBy": "a"}}, "venta", "a reference table takes no distributeBy"),
        ({"venta": {"reference": True, "primaryKey": ["a"]}}, "venta", "a reference table takes no"),
        ({"venta": {"reference": True, "colocateWith": "b"}}, "venta", "a reference table takes no"),
        (
            {"venta": {"undistribute": True, "rewrite": True}},
            "venta",
            "undistribute: true makes the table local, and stands",
        ),
        ({"venta": {"undistribute": True, "reference": True}}, "venta", "undistribute: true makes the table local"),
        ({"venta": {"undistribute": True, "distributeBy": "a"}}, "venta", "undistribute: true makes the table local"),
        ({"venta": {"undistribute": False}}, "venta", "say how the table is sharded"),
        ({"venta": {"rewrite": True}}, "venta", "say how the table is sharded"),
        ({"venta": {"distributeBy": "a", "rewrite": 3}}, "venta.rewrite = 3", "valid boolean"),
        ({"venta": {"reference": "maybe"}}, "venta.reference = 'maybe'", "valid boolean"),
        ({"venta": {"distributeBy": 3}}, "venta.distributeBy = 3", "expected a name, got 3"),
        ({"venta": {"distributeBy": "a.b"}}, "venta.distributeBy = 'a.b'", "is not a name"),
        ({"venta": {"distributeBy": "a", "colocateWith": "x y"}}, "venta.colocateWith = 'x y'", "is not a name"),
        ({"venta": {"distributeBy": "a", "primaryKey": []}}, "venta.primaryKey = []", "at least 1 item"),
        ({"venta": {"distributeBy": "a", "primaryKey": "a"}}, "venta.primaryKey = 'a'", "valid tuple"),
        ({"venta": {"distributeBy": "a", "primaryKey": ["a", 1]}}, "venta.primaryKey.1", "expected a name, got 1"),
        (
            {"venta": {"distributeBy": "a", "primaryKey": ["b"]}},
            "venta",
            "must contain the distribution column a: add it",
        ),
        ({"venta": {"distributeBy": "a", "primaryKey": ["a", "A"]}}, "venta", "names a column twice: remove one"),
        ({"dos palabras": {"reference": True}}, "dos palabras = ", "'dos palabras' is not a name"),
        ({"": {"reference": True}}, " = ", "'' is not a name"),
    ],
)
def test_a_wrong_table_is_refused_by_its_path_and_reason(declared: object, where: str, reason: str) -> None:
    """One line leads to the very option of the table, shows what stands there and says what should."""
    message = refusal(tables=tables(declared))
    assert message.startswith(f"citus:tables.{where}")
    assert reason in message
    assert message.count("\n") == 0


@pytest.mark.parametrize(
    "names", [("venta", "Venta"), ("venta", '"venta"'), ("venta", "public.venta"), ("App.t", "app.T")]
)
def test_two_spellings_of_one_table_are_refused(names: tuple[str, str]) -> None:
    """A table that stands twice after folding is refused, since one would silently win."""
    message = refusal(tables=tables({name: {"reference": True} for name in names}))
    assert message == "citus:tables names a table twice: unquoted names are folded to lower case; remove one"


@pytest.mark.parametrize("values", [{}, {"password": ""}])
def test_a_missing_password_is_refused_with_the_command_that_sets_one(values: dict[str, str]) -> None:
    """There is no default password, and the error carries the remedy."""
    with pytest.raises(SettingsError, match="password is not set: set it with `pulumi config set --secret password`"):
        Settings.parse(values, stack="dev")


@pytest.mark.parametrize("password", ["hush\n", "hu\nsh", "hush\r", "hu\0sh", "h" * 1001])
def test_a_password_that_is_no_line_of_a_file_is_refused(password: str) -> None:
    """PostgreSQL reads the password from a line of a file, so what does not fit in one is refused."""
    message = refusal(password=password)
    assert message.startswith("citus:password: must be 1 to 1000 characters on one line")
    assert "hush" not in message
    assert "hhh" not in message


@pytest.mark.parametrize("stack", ["prod", "staging", "Dev", "dev2", ""])
def test_the_published_password_is_refused_outside_its_stack(stack: str) -> None:
    """The demonstration's password is known to everyone, so no other stack may use it."""
    message = refusal(stack, password="0000")
    assert "set another with `pulumi config set --secret password`" in message
    assert "0000" not in message.replace(stack, "")


@pytest.mark.parametrize(
    "values",
    [
        {"workers": "0"},
        {"nope": "1"},
        {"tables": "["},
        {"tables": tables({"a": {}})},
        {"tables": tables({"a": {"reference": True}, "A": {"reference": True}})},
        {"password": f"{PASSWORD}\n"},
        {"password": PASSWORD * 100},
        {"password": f"{PASSWORD}\0", "port": "x"},
    ],
)
def test_no_error_shows_the_password(values: dict[str, str]) -> None:
    """Whatever is wrong, with the password or beside it, its text stands in no message."""
    assert PASSWORD not in refusal(**values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"workerPorts": "5441-5443"}, "citus:workerPorts = '5441-5443': 3 ports are too few for 4 workers: widen it"),
        ({"port": "5442"}, "citus:port = 5442: workerPorts gives this port to a worker: choose another"),
        ({"bindAddress": "0.0.0.0"}, "citus:bindAddress = '0.0.0.0': local nodes listen on 127.0.0.1 only"),
    ],
)
def test_settings_that_do_not_go_together_on_a_local_runtime_are_refused(values: dict[str, str], reason: str) -> None:
    """Each is fine by itself, and on Docker."""
    assert reason in refusal(runtime="local", **values)
    parse(**values)


@pytest.mark.parametrize(
    ("tenants", "reason"),
    [
        ({"venta": {"spread": [1, "1"]}}, "'1' stands there twice: name it once, in pin or in spread"),
        ({"venta": {"spread": [1], "pin": {"1": 1}}}, "'1' stands there twice"),
        ({"venta": {"spread": True}}, "citus:tenants.venta.spread = true"),
        ({"venta": {"pin": {"1": "one"}}}, "citus:tenants.venta.pin.1 = 'one'"),
        ({"venta": {"pins": {}}}, "citus:tenants.venta.pins is unknown: a table takes pin, spread"),
        ({"venta": {"spread": [""]}}, "citus:tenants.venta.spread.0"),
        ({"venta": {}, '"venta"': {}}, "citus:tenants names a table twice"),
    ],
)
def test_wrong_tenants_are_refused(tenants: object, reason: str) -> None:
    """With the setting and the value."""
    assert reason in refusal(tenants=tables(tenants))


def test_values_of_tenants_may_be_numbers_or_texts() -> None:
    """They are spelled as PostgreSQL reads them."""
    given = parse(tenants=tables({"venta": {"spread": [1, "dos"], "pin": {"3": 2}}}))
    (tenants,) = given.tenants.values()
    assert (tenants.spread, tenants.pin) == (("1", "dos"), {"3": 2})


def test_local_nodes_take_the_ports_in_order() -> None:
    """The coordinator takes `port`, each worker the next of the range; a port outside the workers' part is free."""
    assert parse(runtime="local", workers="2", port="5443").local_ports == [5443, 5441, 5442]


def test_settings_do_not_show_the_password() -> None:
    """Settings that are printed or logged show no password."""
    assert PASSWORD not in f"{parse()!r} {parse()}"


def test_settings_cannot_be_changed() -> None:
    """Settings are read once, and nothing rewrites them later."""
    with pytest.raises(ValueError, match="frozen"):
        parse().workers = 5  # type: ignore[misc]


# --- Pulumi.yaml and Pulumi's own configuration ----------------------------------------------------------------------


def test_pulumi_yaml_declares_exactly_the_settings_that_are_read() -> None:
    """`pulumi config` offers every setting of the program and no other, each with what it is."""
    declared = PROJECT["config"]
    assert set(declared) == {to_camel(name) for name in Settings.model_fields}
    assert all(len(declaration["description"]) > 20 for declaration in declared.values())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_pulumi_yaml_declares_a_setting_as_the_program_reads_it(name: str) -> None:
    """Type, default and secrecy in Pulumi.yaml are those of the program."""
    field = Settings.model_fields[name]
    declaration = PROJECT["config"][to_camel(name)]
    default = field.get_default(call_default_factory=True)
    kinds: dict[object, str] = {int: "integer", bool: "boolean"}
    kind = "object" if to_camel(name) in STRUCTURED else kinds.get(field.annotation, "string")
    if name in ("pooler", "rebalance", "backup", "restore_from"):  # a mapping or a boolean: Pulumi has no type for that
        assert "type" not in declaration
        default = name == "rebalance"
    else:
        assert declaration["type"] == kind
    assert declaration.get("secret", False) == (name == "password")
    if default is PydanticUndefined:
        assert "default" not in declaration
    else:
        assert declaration["default"] == (str(default) if isinstance(default, Path) else default)


# --- roles ------------------------------------------------------------------------------------------------------------

SECRET = "hunter2-ñ"


def roles(**declared: object) -> str:
    """Write the setting `roles`, with the password SECRET for the role app."""
    return json.dumps({"app": {"password": SECRET, **declared}})


def test_a_role_says_where_it_reads_and_writes() -> None:
    """Names are spelled as in SQL; the password is shown nowhere."""
    settings = parse(roles=json.dumps({'"Shop App"': {"password": SECRET, "read": ["Public"], "write": ['"Ventas"']}}))
    ((name, role),) = settings.roles.items()
    assert name == RoleName("Shop App")
    assert (role.read, role.write, role.connections) == ((SchemaName("public"),), (SchemaName("Ventas"),), None)
    assert role.password.get_secret_value() == SECRET
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        (roles(read="ventas"), "citus:roles.app.read = 'ventas'"),
        (roles(read=["a b"]), "citus:roles.app.read.0 = "),
        (roles(write=["pg_catalog"]), "pg_catalog is a schema of the server"),
        (roles(write=["citus_pulumi"]), "citus_pulumi is a schema of the server"),
        (roles(read=["a" * 64]), "longer than the 63 bytes"),
        (roles(connections=0), "citus:roles.app.connections = 0"),
        (roles(may=["all"]), "citus:roles.app.may is unknown: a role takes password, read, write, connections"),
        (roles(password=f"{SECRET}\n"), "citus:roles.app.password: must be 1 to 1000 characters on one line"),
        (roles(password=""), "citus:roles.app.password: must be 1 to 1000 characters"),
        (roles(password={"x": SECRET}), "citus:roles.app.password"),
        (roles(password="md5" + "0" * 32), "citus:roles.app.password: is a hash"),
        (json.dumps({"app": {"read": []}}), "pulumi config set --path --secret 'roles.app.password'"),
        (json.dumps({"app": SECRET}), "citus:roles.app"),
        (json.dumps([SECRET]), "citus:roles: expected a mapping of role names"),
        (SECRET, "citus:roles: expected a mapping of role names"),
        (json.dumps({"postgres": {"password": SECRET}}), "roles.postgres: that is the superuser of this stack"),
        (json.dumps({"pg_app": {"password": SECRET}}), "PostgreSQL keeps the name pg_app for itself"),
        (json.dumps({"Public": {"password": SECRET}}), "PostgreSQL keeps the name public for itself"),
        (json.dumps({"n" * 64: {"password": SECRET}}), "at most 63 bytes"),
        (json.dumps({"a b": {"password": SECRET}}), "'a b' is not a name"),
        (json.dumps({"app": {"password": SECRET}, "App": {"password": SECRET}}), "citus:roles names a role twice"),
    ],
)
def test_what_is_no_role_is_refused_without_its_password(declared: str, named: str) -> None:
    """One line names the setting and what to do; whatever is wrong, no password is in it."""
    said = refusal(roles=declared)
    assert named in said
    assert SECRET not in said
    assert len(said.splitlines()) == 1


def test_a_roles_password_in_plain_text_is_refused() -> None:
    """Pulumi says that something of the setting is a secret, so the stack's file tells which is not."""
    given = {"citus:password": "x", "citus:roles": roles()}
    with pytest.raises(SettingsError, match="citus:roles has passwords as plain text"):
        load(given, secret=["citus:password"])
    assert load(given, secret=["citus:password", "citus:roles"]).roles

    file = {"citus:roles": {"app": {"password": {"secure": "v1:x"}}, '"My App"': {"password": SECRET}, "none": {}}}
    with pytest.raises(SettingsError) as refused:
        refuse_plain_passwords(file)
    way = r"""pulumi config set --path --secret 'roles["\"My App\""].password'"""
    assert (
        str(refused.value) == f'citus:roles."My App".password stands in the settings as plain text: set it with `{way}`'
    )
    for other in (None, {}, {"citus:roles": {"secure": "v1:x"}}, {"citus:roles": {"app": None}}):
        refuse_plain_passwords(other)


def load(config: dict[str, str], *, secret: list[str], stack: str = "dev") -> Settings:
    """Load the settings in a Pulumi program of their own."""

    def program() -> Settings:
        pulumi.runtime.settings.configure(
            pulumi.runtime.Settings(project="citus", stack=stack, monitor=object(), engine=object())
        )
        set_all_config(config, secret)
        return load_settings()

    run: Callable[[Callable[[], Settings]], Settings] = contextvars.copy_context().run
    return run(program)


def test_a_stacks_settings_are_read_from_its_configuration() -> None:
    """Settings come from the keys of this project; those of other projects and providers are left alone."""
    config = {"citus:password": "x", "citus:workers": "2", "docker:host": "ssh://x", "citusx:workers": "9"}
    assert load(config, secret=["citus:password"]).workers == 2


def test_a_plain_text_password_is_refused() -> None:
    """A password that stands in the settings file for everyone to read is refused without being shown."""
    with pytest.raises(SettingsError, match="plain text: set it with `pulumi config set --secret password`") as caught:
        load({"citus:password": PASSWORD}, secret=[])
    assert PASSWORD not in str(caught.value)


def test_the_running_stack_decides_on_the_published_password() -> None:
    """The name of the stack that runs is what the rule on the demonstration's password looks at."""
    config = {"citus:password": "0000"}
    assert load(config, secret=list(config), stack="dev").password.get_secret_value() == "0000"
    with pytest.raises(SettingsError, match="the stack prod"):
        load(config, secret=list(config), stack="prod")


def test_the_demonstrations_settings_are_valid() -> None:
    """What Pulumi.dev.yaml sets is accepted as it stands, once Pulumi has decrypted the password."""
    given = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text("utf-8"))["config"]
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    assert load({**config, "citus:password": "0000"}, secret=["citus:password"]).tables


# --- anything at all -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["venta", "Venta", '"V"', "id", "a.b", "", "a b", "reference", "distributeBy", "\0", "ñ", "0000"]
)
TEXT = st.one_of(WORDS, st.text(max_size=20))
NUMBERS = st.one_of(st.integers().map(str), st.floats().map(str), TEXT)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=8,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "distributeBy": st.one_of(WORDS, JSON),
        "colocateWith": st.one_of(WORDS, JSON),
        "primaryKey": st.one_of(st.lists(WORDS), JSON),
        "reference": st.one_of(st.booleans(), JSON),
        "rewrite": st.one_of(st.booleans(), JSON),
        "undistribute": st.one_of(st.booleans(), JSON),
        "other": JSON,
    },
)
COUNTS = ["workers", "port", "shardCount", "readyTimeout"]
STRINGS = ["image", "bindAddress", "database", "user", "network", "namePrefix", "schemaDir", "password"]
FAMILIES: dict[str, st.SearchStrategy[dict[str, str]]] = {
    "text anywhere": st.dictionaries(st.one_of(st.sampled_from(sorted(PROJECT["config"])), TEXT), TEXT, max_size=6),
    "numbers": st.fixed_dictionaries({}, optional=dict.fromkeys(COUNTS, NUMBERS)),
    "strings": st.fixed_dictionaries({}, optional=dict.fromkeys(STRINGS, st.text())),
    "long strings": st.fixed_dictionaries({}, optional=dict.fromkeys(STRINGS, st.text(min_size=30, max_size=80))),
    "unknown settings": st.dictionaries(st.text(), st.text(), max_size=4),
    "passwords": st.fixed_dictionaries({"password": st.text()}),
    "tables that are text": st.fixed_dictionaries({"tables": st.text()}),
    "tables that are JSON": st.fixed_dictionaries({"tables": JSON.map(json.dumps)}),
    "tables of names": st.fixed_dictionaries({"tables": st.dictionaries(TEXT, JSON, max_size=4).map(json.dumps)}),
    "tables of options": st.fixed_dictionaries({"tables": st.dictionaries(TEXT, OPTIONS, max_size=4).map(json.dumps)}),
}


def settings_or_error(values: dict[str, str], stack: str) -> bool:
    """Tell whether the settings are accepted; fails on any other exception, and on an error that tells too much."""
    try:
        Settings.parse({"password": PASSWORD, **values}, stack=stack)
    except SettingsError as error:
        assert str(error).startswith("citus:")  # noqa: PT017 - either outcome is right
        assert PASSWORD not in str(error)  # noqa: PT017
        assert str(error).encode()  # noqa: PT017 - a text that can be shown
        return False
    return True


@pytest.mark.parametrize("family", FAMILIES)
def test_malformed_settings_give_settings_or_a_settings_error_and_nothing_else(family: str) -> None:
    """No example of the ten families raises another exception; CITUS_PULUMI_EXAMPLES=1000 makes 10,000 of them."""

    @given(values=FAMILIES[family], stack=st.sampled_from(["dev", "prod"]))
    @example(values={}, stack="dev")
    def check(values: dict[str, str], stack: str) -> None:
        settings_or_error(values, stack)

    check()


NASTY = [
    *("", " ", "0", "1", "-1", "4", "4.0", "1e3", "0x10", "९", "64", "65", "70000", "9" * 5000),
    *("inf", "nan", "true", "null", "a", "A b", "ñ", "\0", "a\nb", "'", '"', "\\", "%s", "{}", "[]", "{", '{"a":'),
    *(
        "[" * 2000,
        "x" * 2000,
        "😀" * 70,
        "127.0.0.1",
        "::",
        "::1%x",
        "0.0.0.0/0",
        "localhost",
        "../..",
        "$(id)",
        "0000",
    ),
]
OPTION_VALUES = [
    None,
    True,
    False,
    0,
    1.5,
    "",
    "id",
    "ID",
    '"ID"',
    "a.b",
    "a b",
    "\0",
    [],
    ["id"],
    ["id", "id"],
    [1],
    {},
    {"a": 1},
]
TABLE_NAMES = ["venta", "Venta", '"Venta"', "public.venta", "app.t", "a.b.c", "", "a b", '"', "[key]", "ñ", "\0"]
OPTION_NAMES = ["distributeBy", "colocateWith", "primaryKey", "reference", "rewrite", "undistribute", "other", ""]


def test_ten_thousand_combinations_of_nasty_values_raise_nothing_but_settings_errors() -> None:
    """Of 10,000 combinations of edge values, always the same, some are accepted and none raises another exception."""
    dice = random.Random(20240229)

    def table() -> object:
        if dice.random() < 0.1:
            return dice.choice(OPTION_VALUES)
        return {dice.choice(OPTION_NAMES): dice.choice(OPTION_VALUES) for _ in range(dice.randrange(4))}

    accepted = 0
    for _ in range(10_000):
        values = {dice.choice(COUNTS + STRINGS): dice.choice(NASTY) for _ in range(dice.randrange(4))}
        if dice.random() < 0.5:
            values["tables"] = json.dumps({dice.choice(TABLE_NAMES): table() for _ in range(dice.randrange(4))})
        elif dice.random() < 0.1:
            values[dice.choice(["tables", *NASTY])] = dice.choice(NASTY)
        accepted += settings_or_error(values, dice.choice(["dev", "prod"]))
    assert 500 < accepted < 9_500
