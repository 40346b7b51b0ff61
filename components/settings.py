"""What a node is to the rest of the program, whatever runs it."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake

from components.backups.settings import BackupSettings, RestoreSettings, as_duration
from components.errors import Problem, SettingsError
from components.model import Model
from components.names import IDENTIFIER_BYTES, ColumnName, RoleName, SchemaName, TableName, TablePattern
from components.parameters import OF_REBALANCE, SERVER_SETTINGS, as_bytes, as_text, find_problem, get_known, in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.parameters import Parameter

__all__ = [
    "EXCLUDED",
    "PROJECT",
    "HostSettings",
    "PoolerSettings",
    "RebalanceSettings",
    "RoleSettings",
    "Settings",
    "TableSettings",
    "find_address",
    "reached_at",
    "refuse_plain_passwords",
]


def reached_at(address: str) -> str:
    """Return the address by which this machine reaches what is published on an address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def is_loopback(address: str) -> bool:
    """Tell whether an address or a name is that of the machine itself, whichever it is."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def find_address(hosts: Mapping[str, Any], host_of: Mapping[str, str], bind_address: str) -> str:
    """Return where clients reach the coordinator.

    Args:
        hosts: the setting, each as its mapping; empty for the engine that `docker` uses.
        host_of: the setting; may be empty where there is one host.
        bind_address: the setting, which counts where there are no hosts.
    """
    if hosts:
        return str(hosts[host_of.get(COORDINATOR) or next(iter(hosts))]["address"])
    return reached_at(bind_address)


PROJECT: Final = "citus"
COORDINATOR: Final = "coordinator"
"""What hostOf calls it."""


SEED_PASSWORD: Final = "0000"  # noqa: S105 - the published password of the demonstration, which others must not use


SEED_STACK: Final = "dev"


DOCKER_NAME: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"


LOCALE: Final = r"C|POSIX|[A-Za-z_]+\.(UTF-8|utf-?8)(@[a-z]+)?"
"""As `locale -a` lists them; all data is UTF-8."""


PARAMETERS: Final = ("parameters", "coordinatorParameters", "workerParameters")
STRUCTURED: Final = {
    "functions": "signatures of functions",
    "schemas": "schema names",
    "tables": "table names",
    "tenants": "table names",
    "roles": "role names",
    "rebalance": "its settings, true or false",
    "pooler": "its settings, true or false",
    "backup": "its settings, or false",
    "restoreFrom": "its settings, or false",
    "hosts": "names of hosts",
    "hostOf": "nodes: coordinator, worker_1, …",
    **dict.fromkeys(PARAMETERS, "names of parameters of PostgreSQL and Citus"),
}
"""Settings that are mappings, each with what it maps."""


_OF_TLS: Final = ("ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file", "citus.node_conninfo")
LEAST_MEMORY: Final = 256 << 20
"""Bytes that a node needs."""


SECRET: Final = ("password", "roles", "backup", "restoreFrom")
"""Settings that are, or hold, what is secret: no error shows their values."""
_SECRETS: Final = ("password", "key", "secretKey")
"""What is secret within them."""


class TableSettings(Model):
    """How one table is sharded: distributed by a column, or replicated to every node as a reference table."""

    distribute_by: ColumnName | None = Field(default=None, validation_alias=AliasChoices("distributeBy", "by"))
    """Distribution column, spelled as in SQL. A pattern distributes those of its tables that have the column."""
    colocate_with: TableName | None = None
    """Distributed table whose colocation group this one joins; without it the table starts a group of its own."""
    primary_key: tuple[ColumnName, ...] | None = Field(default=None, min_length=1)
    """Columns of the primary key once distributed; by default the distribution column, then the old key's columns."""
    reference: bool = False
    rewrite: bool = False
    """The table may be rewritten, row by row, where it is sharded in another way than declared."""
    undistribute: bool = False
    """The table is to be local again."""

    @model_validator(mode="after")
    def _one_kind(self) -> TableSettings:
        if self.undistribute:
            if self.model_fields_set > {"undistribute"}:
                msg = "undistribute: true makes the table local, and stands alone: remove it, or all the others"
                raise ValueError(msg)
            return self
        if self.reference and (self.distribute_by or self.colocate_with or self.primary_key):
            msg = "a reference table takes no distributeBy, colocateWith or primaryKey: remove them, or reference"
            raise ValueError(msg)
        if not self.reference and self.distribute_by is None:
            msg = "say how the table is sharded: distributeBy: <column>, or reference: true; undistribute: true makes it local"
            raise ValueError(msg)
        if self.primary_key is not None:
            if self.distribute_by not in self.primary_key:
                msg = f"primaryKey must contain the distribution column {self.distribute_by}: add it"
                raise ValueError(msg)
            if len(set(self.primary_key)) < len(self.primary_key):
                msg = "primaryKey names a column twice: remove one"
                raise ValueError(msg)
        return self


def _name_or_pattern(value: object) -> TableName | TablePattern:
    if isinstance(value, str) and (pattern := TablePattern.parse(value)):
        return pattern
    return TableName._read(value)  # noqa: SLF001 - as pydantic would


EXCLUDED: Final = TableSettings.model_construct()
"""What `false` declares: no pattern applies to the table, or to those that a pattern matches."""


Tenant = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value), Field(min_length=1)
]
"""A value of a distribution column, spelled as PostgreSQL reads it; numbers may stand as numbers."""


WorkerOrHost = Annotated[
    int | str, BeforeValidator(lambda value: int(value) if isinstance(value, str) and value.isdecimal() else value)
]


class TenantSettings(Model):
    """Tenants of one colocation group that are to be on workers of their own."""

    pin: dict[Tenant, WorkerOrHost] = Field(default_factory=dict)
    """The number of each value's worker, or the name of the host whose workers may hold it."""
    spread: tuple[Tenant, ...] = ()
    """Values that have a worker each, as far as there are enough of them."""

    @model_validator(mode="after")
    def _each_once(self) -> TenantSettings:
        twice = [value for value in self.spread if value in self.pin or self.spread.count(value) > 1]
        if twice:
            msg = f"{twice[0]!r} stands there twice: name it once, in pin or in spread"
            raise ValueError(msg)
        return self


ParameterValue = Annotated[
    str, BeforeValidator(lambda value: as_text(value) if isinstance(value, int | float) else value)
]
"""As postgresql.conf takes it; a number or a truth value may stand as such."""


class RebalanceSettings(Model):
    """When and how shards are evened out over the workers; what is not set is as the cluster has it."""

    strategy: str | None = Field(default=None, min_length=1)
    """Name of a strategy in pg_dist_rebalance_strategy, such as by_disk_size and by_shard_count."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """By how much of the average load a worker may differ."""
    parallel: int | None = Field(default=None, ge=1, le=128)
    """Moves at a time at most."""
    transfer_mode: Literal["auto", "block_writes"] = "auto"
    """Online where the tables allow it, or with writes waiting everywhere."""


class PoolerSettings(Model):
    """PgBouncer before the coordinator: many clients share few sessions, each for as long as a transaction."""

    port: int = Field(default=6432, ge=1, le=65535)
    """On bindAddress."""
    image: str = Field(default="edoburu/pgbouncer:v1.24.1-p1", min_length=1, pattern=r"^\S+$")
    """Any with PgBouncer 1.21 or newer and a shell."""
    pool_size: int = Field(default=20, ge=1, le=10000)
    """Sessions on a server for one role at most."""
    max_clients: int = Field(default=1000, ge=1, le=100000)


class HostSettings(Model):
    """A machine that has a Docker Engine of its own."""

    engine: str = Field(min_length=1, pattern=r"^\S+$")
    """Where the engine is reached: ssh://…, tcp://…, unix://…, npipe://…, or the name of a Docker context."""
    address: str = Field(min_length=1, pattern=r"^[\w.:%-]+$")
    """IP address or name by which clients and nodes on other hosts reach what this host publishes."""
    certificates: str = ""
    """Folder with ca.pem, cert.pem and key.pem, by which this program and an engine at tcp://… know each other."""
    ssh_options: tuple[str, ...] = ()
    """As `ssh -o` takes them, for an engine at ssh://…."""

    @model_validator(mode="after")
    def _as_the_engine_takes(self) -> HostSettings:
        scheme = self.engine.partition("://")[0] if "://" in self.engine else "context"
        if scheme not in ("ssh", "tcp", "unix", "npipe", "context"):
            msg = f"engine = {self.engine!r}: expected ssh://…, tcp://…, unix://…, npipe://… or the name of a Docker context"
            raise ValueError(msg)
        if scheme == "tcp" and not self.certificates:
            msg = (
                f"engine = {self.engine!r}: whoever reaches an engine without TLS is root there: name the folder with ca.pem, "
                "cert.pem and key.pem as certificates, or reach it by ssh://…"
            )
            raise ValueError(msg)
        if scheme != "tcp" and self.certificates:
            msg = f"certificates = {self.certificates!r}: they are for an engine at tcp://…: remove it"
            raise ValueError(msg)
        if scheme != "ssh" and self.ssh_options:
            msg = "sshOptions are for an engine at ssh://…: remove them"
            raise ValueError(msg)
        return self

    @property
    def bind_address(self) -> str:
        """Return the address on which ports are published: the host's own, or all of them where it is given by a name."""
        try:
            return str(ipaddress.ip_address(self.address))
        except ValueError:
            return "0.0.0.0"  # noqa: S104


class SchemaSettings(Model):
    """A schema that is distributed as a whole: all its tables are together on one worker."""

    worker: int | None = Field(default=None, ge=1)
    """The number of the worker; without it the schema is wherever Citus puts it."""
    undistribute: bool = False
    """The tables of the schema are to be local again."""

    @model_validator(mode="after")
    def _alone(self) -> SchemaSettings:
        if self.undistribute and self.worker is not None:
            msg = "undistribute: true makes the schema's tables local, and stands alone: remove it, or worker"
            raise ValueError(msg)
        return self


OWN_SCHEMAS: Final = re.compile(r"pg_.*|information_schema|citus|citus_internal|citus_pulumi|columnar(_internal)?")
"""Schemas of PostgreSQL, Citus and this project: no setting gives a role anything there."""


_HASHED: Final = re.compile(r"md5[0-9a-f]{32}|SCRAM-SHA-256\$.*")


class RoleSettings(Model):
    """A role by which an application logs in, and what it may do; nothing else."""

    password: SecretStr
    read: tuple[SchemaName, ...] = ()
    """Schemas whose tables, views and sequences it reads."""
    write: tuple[SchemaName, ...] = ()
    """Schemas whose rows it reads, inserts, updates and deletes, and whose functions it calls."""
    connections: int | None = Field(default=None, ge=1, le=10000)
    """Sessions on the coordinator that it may have at a time; None for as many as the server takes."""

    @field_validator("password")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        if _HASHED.fullmatch(value.get_secret_value()):
            msg = "is a hash: the nodes log in to each other with the password itself, so set that"
            raise ValueError(msg)
        return _password_of_one_line(value)

    @field_validator("read", "write")
    @classmethod
    def _of_the_database(cls, value: tuple[SchemaName, ...]) -> tuple[SchemaName, ...]:
        for schema in value:
            if OWN_SCHEMAS.fullmatch(schema.name):
                msg = (
                    f"{schema} is a schema of the server or of this program, where no role is given anything: remove it"
                )
                raise ValueError(msg)
            if len(schema.name.encode()) > IDENTIFIER_BYTES:
                msg = (
                    f"{schema} is longer than the {IDENTIFIER_BYTES} bytes that PostgreSQL keeps of a name: correct it"
                )
                raise ValueError(msg)
        return value


def _password_of_one_line(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if not 1 <= len(secret) <= 1000 or any(c in secret for c in "\0\r\n"):  # noqa: PLR2004 - scram's own bound
        msg = "must be 1 to 1000 characters on one line: PostgreSQL reads it as one line of a file"
        raise ValueError(msg)
    return value


def _signature(value: str) -> str:
    if not re.fullmatch(r"[^()]+\(.*\)\s*", value, re.DOTALL):
        msg = "expected a signature: the function's name and the types of its arguments, such as sell(int, text)"
        raise ValueError(msg)
    return value


Signature = Annotated[str, AfterValidator(_signature)]
"""Of a function, spelled as in SQL."""


class FunctionSettings(Model):
    """A function whose calls run on the worker of the tenant that they name."""

    distribute_by: str | None = Field(default=None, min_length=1, validation_alias=AliasChoices("distributeBy", "by"))
    """The argument that has the tenant, by its name as in SQL, or as $1."""
    colocate_with: TableName
    """The sharded table on whose worker it runs."""
    force_delegation: bool = False
    """It also runs there when it is called within a transaction, and may reach this one shard only."""


def _role_name(value: object) -> RoleName:
    name = RoleName._read(value)  # noqa: SLF001 - as pydantic would
    if name.name in ("public", "none") or name.name.startswith("pg_"):
        msg = f"PostgreSQL keeps the name {name} for itself: choose another"
        raise ValueError(msg)
    if len(name.name.encode()) > IDENTIFIER_BYTES or not name.name.isprintable():
        msg = f"must be printable and at most {IDENTIFIER_BYTES} bytes: PostgreSQL would truncate the name"
        raise ValueError(msg)
    return name


class Settings(Model):
    """Everything a stack may set."""

    runtime: Literal["docker", "local"] = "docker"
    image: str = Field(default="citusdata/citus:12.1", min_length=1, pattern=r"^\S+$")
    adopt: str = Field(default="", pattern=r"^\S*$")
    """Id of a running cluster that this stack is to take over, for its own state was lost."""
    workers: int = Field(default=4, ge=1, le=64)
    port: int = Field(default=5437, ge=1, le=65535)
    bind_address: str = "127.0.0.1"
    tls: Literal["", "require", "verify-full"] = ""
    """Whether nodes and clients verify each other; empty for yes where others could reach them, else for no."""
    certificate_days: int = Field(default=730, ge=1, le=3650)
    """For which a server's certificate is valid."""
    certificate_names: str = ""
    """Further names and addresses by which clients reach the coordinator and the poolers, with commas between."""
    database: str = Field(default="coorddb", min_length=1)
    user: str = Field(default="postgres", min_length=1)
    locale: str = ""
    """Of data that is made; empty for the one that the stack's data has, else for C.UTF-8."""
    password: SecretStr
    hosts: dict[Annotated[str, Field(pattern=DOCKER_NAME)], HostSettings] = Field(default_factory=dict)
    """Machines that the nodes are on, each by its name; empty for the engine that `docker` uses."""
    host_of: dict[str, str] = Field(default_factory=dict)
    """The host of single nodes: coordinator, worker_1, …; the others stay where they are, and new ones are dealt out."""
    node_ports: str = "5505-5568"
    """Ports by which nodes on other hosts reach the workers, first-last; the first worker takes the first."""
    network: str = Field(default="citusnet", pattern=DOCKER_NAME)
    name_prefix: str = Field(default="citus", pattern=DOCKER_NAME, max_length=40)
    shard_count: int = Field(default=32, ge=1, le=64000)
    schema_dir: Path = Path("sql/schema")
    tables: dict[
        Annotated[TableName, PlainValidator(_name_or_pattern)],
        Annotated[TableSettings, WrapValidator(lambda value, read: EXCLUDED if value is False else read(value))],
    ] = Field(default_factory=dict)
    """Tables that are sharded, each by its name."""
    schemas: dict[SchemaName, SchemaSettings] = Field(default_factory=dict)
    """Schemas that are distributed as a whole, each by its name."""
    functions: dict[Signature, FunctionSettings] = Field(default_factory=dict)
    """Functions that run on the worker of a tenant, each by its signature as in SQL."""
    tenants: dict[TableName, TenantSettings] = Field(default_factory=dict)
    roles: dict[Annotated[RoleName, PlainValidator(_role_name)], RoleSettings] = Field(default_factory=dict)
    """Roles of applications, each by its name."""
    rebalance: RebalanceSettings | None = Field(default_factory=RebalanceSettings)
    """None where shards stay where they are."""
    pooler: PoolerSettings | None = None
    """None for no pooler."""
    entry: Literal["coordinator", "anyNode"] = "coordinator"
    """Where clients may log in."""
    backup: BackupSettings | None = None
    """None where nothing is backed up."""
    require_backup: str = ""
    """How old the newest backup may be for what is dangerous, such as 1h; empty for any age."""
    restore_from: RestoreSettings | None = None
    """The backup that the cluster is made of; None for a cluster that is made empty."""
    restore_workers: str = ""
    """Workers whose data is lost, and which are made of their own newest backup, with commas between: worker_2, worker_4."""
    unsafe_triggers: bool = False
    """Sharded tables may have triggers, which fire on the workers, for the rows of one shard each."""
    parameters: dict[str, ParameterValue] = Field(default_factory=dict)
    """Of PostgreSQL and Citus, on every node."""
    coordinator_parameters: dict[str, ParameterValue] = Field(default_factory=dict)
    worker_parameters: dict[str, ParameterValue] = Field(default_factory=dict)
    memory: str = ""
    """What a node may use, such as 2GB; empty for no limit."""
    cpus: str = ""
    """What a node may use, such as 1.5; empty for no limit."""
    ready_timeout: int = Field(default=120, ge=1, le=86400)
    """Seconds."""
    worker_ports: str = "5441-5504"
    """Ports of local workers, or of the workers' poolers, first-last; the first worker takes the first."""
    data_dir: str = ""
    """Folder of local nodes; empty for the one that LocalHost chooses."""
    postgres_bin: str = ""
    """Folder of PostgreSQL's programs for local nodes; empty to search this host."""
    stand_in: bool = False
    """Where a local PostgreSQL has no Citus, a stand-in that moves no rows will do."""

    @field_validator("bind_address")
    @classmethod
    def _ip_address(cls, value: str) -> str:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            msg = "not an IP address: use 127.0.0.1 for this machine alone, 0.0.0.0 for every interface"
            raise ValueError(msg) from None

    @field_validator("worker_ports", "node_ports")
    @classmethod
    def _port_range(cls, value: str) -> str:
        first, _, last = value.partition("-")
        ports = [int(part) if part.isascii() and part.isdecimal() and len(part) < 6 else 0 for part in (first, last)]  # noqa: PLR2004
        if not 1 <= ports[0] <= ports[1] <= 65535:  # noqa: PLR2004
            msg = "expected a range of ports, such as 5441-5504, within 1 and 65535"
            raise ValueError(msg)
        return value

    @field_validator("database", "user")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if len(value.encode()) > IDENTIFIER_BYTES or not value.isprintable():
            msg = f"must be printable and at most {IDENTIFIER_BYTES} bytes: PostgreSQL would cut the name"
            raise ValueError(msg)
        return value

    @field_validator("locale")
    @classmethod
    def _utf8(cls, value: str) -> str:
        if value and not re.fullmatch(LOCALE, value):
            msg = "no locale of UTF-8: expected C, POSIX or one such as es_CO.UTF-8, as `locale -a` lists them"
            raise ValueError(msg)
        return value

    @field_validator("password")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        return _password_of_one_line(value)

    @model_validator(mode="after")
    def _other_roles(self) -> Settings:
        own = RoleName(self.user)
        if own in self.roles:
            msg = f"roles.{own}: that is the superuser of this stack (citus:user): give the application a role of another name"
            raise ValueError(msg)
        return self

    @field_validator("require_backup")
    @classmethod
    def _some_time(cls, value: str) -> str:
        if value:
            as_duration(value)
        return value

    @field_validator("cpus")
    @classmethod
    def _some_processors(cls, value: str) -> str:
        if value and not (re.fullmatch(r"\d+(\.\d+)?", value) and 0.1 <= float(value) <= 1024):  # noqa: PLR2004
            msg = "expected a number of processors from 0.1 to 1024, such as 1.5"
            raise ValueError(msg)
        return value

    @field_validator("memory")
    @classmethod
    def _enough_memory(cls, value: str) -> str:
        if value and as_bytes(value) < LEAST_MEMORY:
            msg = f"a node needs {LEAST_MEMORY >> 20}MB at least: raise it"
            raise ValueError(msg)
        return value

    def get_parameters(self, *, of_coordinator: bool) -> dict[str, str]:
        """Return what is declared of a node: its kind's own come before those of every node."""
        declared = {**self.parameters, **(self.coordinator_parameters if of_coordinator else self.worker_parameters)}
        spelled = {name.lower(): name for name in get_known()}
        return {spelled.get(name.lower(), name): value for name, value in declared.items()}

    def refuse_parameters(self, running: Mapping[str, Parameter], major: int | None) -> None:
        """Refuse parameters that the server does not have, or of which it takes other values.

        Args:
            running: those of the server that runs; empty where none does.
            major: its major version of PostgreSQL, or the one that it is to have.

        Raises:
            SettingsError: with one line for each.
        """
        problems = list(self.find_parameter_problems({**get_known(), **running}, major))
        if problems:
            raise SettingsError(*problems)

    def find_parameter_problems(self, known: Mapping[str, Parameter], major: int | None = None) -> Iterator[Problem]:
        """Yield what a server that takes the `known` parameters would refuse of those that are declared."""
        for setting in PARAMETERS:
            for name, value in getattr(self, to_snake(setting)).items():
                if problem := find_problem(name, value, known, major=major):
                    yield Problem(problem, f"citus:{setting}.{name} = {value!r}")

    def find_misfits(self) -> Iterator[Problem]:
        """Yield parameters that a server would take one by one, and that do not go together."""
        for setting, of_coordinator in zip(PARAMETERS[1:], (True, False), strict=True):
            declared = self.get_parameters(of_coordinator=of_coordinator)
            buffers, prepared = declared.get("shared_buffers"), declared.get("max_prepared_transactions")
            if buffers and self.memory and 4 * in_bytes("shared_buffers", buffers) > 3 * self.memory_bytes:
                why = f"it leaves too little of citus:memory = {self.memory!r}: a quarter of that is usual"
                yield Problem(why, f"citus:{setting}: shared_buffers = {buffers!r}")
            twice = [name for name in OF_REBALANCE if name in declared and self.rebalance and self.rebalance.parallel]
            for name in twice if of_coordinator else ():
                yield Problem(
                    "citus:rebalance.parallel sets it, too: remove one of the two", f"citus:{setting}: {name}"
                )
            connections = declared.get("max_connections", SERVER_SETTINGS["max_connections"])
            if prepared and float(prepared) < float(connections):
                why = f"each transaction on several workers takes one there: set {connections} (max_connections), or remove it"
                yield Problem(why, f"citus:{setting}: max_prepared_transactions = {prepared!r}")

    @property
    def memory_bytes(self) -> int:
        """Return what a node may use; 0 for no limit."""
        return as_bytes(self.memory) if self.memory else 0

    @field_validator("schemas")
    @classmethod
    def _distributable(cls, value: dict[SchemaName, SchemaSettings]) -> dict[SchemaName, SchemaSettings]:
        for schema in value:
            if schema.name == "public" or OWN_SCHEMAS.fullmatch(schema.name):
                msg = f"the schema {schema} cannot be distributed: put the tables into a schema of their own, or remove it"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _fit_for_workers(self) -> Settings:
        for schema, settings in self.schemas.items():
            if settings.worker is not None and settings.worker > self.workers:
                msg = (
                    f"schemas.{schema}.worker = {settings.worker}: there are workers 1 to {self.workers}: name one of them, or "
                    "remove it for Citus to choose"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fit_for_hosts(self) -> Settings:
        if not self.hosts:
            if self.host_of:
                msg = "hostOf names hosts of nodes, and citus:hosts has none: declare them there, or remove it"
                raise ValueError(msg)
            return self
        if self.runtime != "docker":
            msg = "hosts: they are for nodes in containers: remove them, or the setting runtime"
            raise ValueError(msg)
        if self.bind_address != "127.0.0.1":
            msg = f"bindAddress = {self.bind_address!r}: each host publishes on its own address (citus:hosts): remove the setting"
            raise ValueError(msg)
        if self.spans and COORDINATOR not in self.host_of:
            msg = f"hostOf.{COORDINATOR}: say which host has the coordinator: {', '.join(self.hosts)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _on_hosts_that_are_there(self) -> Settings:
        for node, host in self.host_of.items():
            if node not in self.nodes:
                msg = (
                    f"hostOf.{node}: there is no such node: expected {COORDINATOR} or worker_1 to worker_{self.workers}"
                )
                raise ValueError(msg)
            if host not in self.hosts:
                msg = f"hostOf.{node} = {host!r}: there is no such host: name one of {', '.join(self.hosts)}"
                raise ValueError(msg)
        for name, declared in self.hosts.items() if self.spans else ():
            if is_loopback(declared.address):
                at = f"hosts.{name}.address = {declared.address!r}"
                msg = f"{at}: other hosts would find themselves there: name one that they reach"
                raise ValueError(msg)
        for table, tenants in self.tenants.items():
            for value, where in tenants.pin.items():
                if isinstance(where, str) and where not in self.hosts:
                    hosts = f", or one of the hosts {', '.join(self.hosts)}" if self.hosts else ""
                    msg = f"tenants.{table}.pin.{value} = {where!r}: expected the number of a worker{hosts}"
                    raise ValueError(msg)
        return self

    @property
    def peers(self) -> tuple[str, ...]:
        """Return where nodes come from, as pg_hba.conf takes it."""
        if not self.spans:
            return ("samenet",)
        addresses = [host.bind_address for host in self.hosts.values()]
        if "0.0.0.0" in addresses:  # noqa: S104 - the address of a name is found out by those who connect
            return ("all",)
        return ("samenet", *(f"{address}/{128 if ':' in address else 32}" for address in dict.fromkeys(addresses)))

    @property
    def is_open(self) -> bool:
        """Tell whether other machines reach the coordinator."""
        hosts = [host.bind_address for host in self.hosts.values()]
        return not all(map(is_loopback, hosts or [self.bind_address]))

    @property
    def verifies(self) -> bool:
        """Tell whether nodes and clients verify each other."""
        return self.tls == "verify-full" or (not self.tls and self.is_open)

    @model_validator(mode="after")
    def _safe_for_others(self) -> Settings:
        if self.tls and self.runtime == "local":
            msg = f"tls = {self.tls!r}: local nodes are reached on 127.0.0.1 only: remove the setting"
            raise ValueError(msg)
        if self.tls == "require" and self.is_open:
            msg = "tls = 'require': other machines reach the nodes, and could not tell them from others: remove the setting"
            raise ValueError(msg)
        for setting in (*PARAMETERS,) if self.verifies else ():
            for name in getattr(self, to_snake(setting)):
                if name.lower() in _OF_TLS:
                    msg = f"{setting}.{name}: the stack's certificates decide that (citus:tls): remove it"
                    raise ValueError(msg)
        return self

    @property
    def nodes(self) -> list[str]:
        """Return the nodes as hostOf names them, the coordinator first."""
        return [COORDINATOR, *(f"worker_{number}" for number in range(1, self.workers + 1))]

    def deal_out(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return the host of each node; nothing where there are no hosts.

        Args:
            found: the host of each node that is there already. It stays, unless the settings name another.
        """
        if not self.hosts:
            return {}
        known = {node: self.host_of.get(node) or found.get(node, "") for node in self.nodes}
        dealt = {node: host for node, host in known.items() if host in self.hosts}
        for node in self.nodes:
            if node not in dealt:
                taken = list(dealt.values())
                dealt[node] = min(self.hosts, key=taken.count)  # the first of those with the fewest
        return {node: dealt[node] for node in self.nodes}

    @property
    def spans(self) -> bool:
        """Tell whether the nodes are on several hosts: they then reach each other by published ports."""
        return len(self.hosts) > 1

    @property
    def address(self) -> str:
        """Return where clients reach the coordinator."""
        hosts = {name: {"address": host.address} for name, host in self.hosts.items()}
        return find_address(hosts, self.host_of, self.bind_address)

    @model_validator(mode="after")
    def _ports_apart(self) -> Settings:
        published = [("port", self.port), *([("pooler.port", self.pooler.port)] if self.pooler else [])]
        if len({port for _, port in published}) < len(published):
            msg = f"pooler.port = {self.port}: that is the coordinator's own (citus:port): choose another"
            raise ValueError(msg)
        if self.entry == "anyNode" and self.runtime == "docker" and not self.pooler:
            msg = "entry = 'anyNode': clients enter a worker by its pooler: set citus:pooler, or remove the setting"
            raise ValueError(msg)
        ranges = [("nodePorts", self.node_ports)] if self.spans else []
        if self.runtime == "local" or self.entry == "anyNode":
            ranges.append(("workerPorts", self.worker_ports))
        for setting, text in ranges:
            ports = self._ports(text)
            if len(ports) < self.workers:
                msg = f"{setting} = {text!r}: {len(ports)} ports are too few for {self.workers} workers: widen it"
                raise ValueError(msg)
            for other, port in published:
                if port in ports:
                    msg = f"{other} = {port}: {setting} gives this port to a worker: choose another"
                    raise ValueError(msg)
            published += [(f"{setting} = {text!r}", port) for port in ports]
        return self

    @model_validator(mode="after")
    def _fit_for_local(self) -> Settings:
        if self.runtime != "local":
            return self
        if self.pooler:
            msg = "pooler: it runs in a container of its own: remove it, or the setting runtime"
            raise ValueError(msg)
        for setting in ("memory", "cpus"):
            if getattr(self, setting):
                msg = f"{setting} = {getattr(self, setting)!r}: processes of this host have no limits: remove it"
                raise ValueError(msg)
        if self.bind_address != "127.0.0.1":
            msg = f"bindAddress = {self.bind_address!r}: local nodes listen on 127.0.0.1 only: remove the setting"
            raise ValueError(msg)
        return self

    @property
    def lost_workers(self) -> tuple[str, ...]:
        """Return the workers that are made of their own newest backup."""
        return tuple(filter(None, (name.strip() for name in self.restore_workers.split(","))))

    @model_validator(mode="after")
    def _lost_workers_are_backed_up(self) -> Settings:
        at, workers = f"restoreWorkers = {self.restore_workers!r}", self.nodes[1:]
        if unknown := [name for name in self.lost_workers if name not in workers]:
            msg = f"{at}: {', '.join(unknown)} is none of the workers, which are {workers[0]} to {workers[-1]}"
            raise ValueError(msg)
        if self.lost_workers and self.backup is None:
            msg = f"{at}: this cluster declares no backup to make them of: declare citus:backup as it was, or remove it"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _kept_where_nodes_reach_it(self) -> Settings:
        for name, it in (("backup", self.backup), ("restoreFrom", self.restore_from)):
            if it is None or not it.is_volume:
                continue
            at = f"{name}.repository = {it.repository!r}"
            if self.runtime == "local":
                msg = (
                    f"{at}: local nodes have no volumes: name a folder, by its absolute path, or s3://<bucket>/<prefix>"
                )
                raise ValueError(msg)
            if self.spans:
                msg = (
                    f"{at}: a volume is on one host, and the nodes are on several: use s3://<bucket>/<prefix>, or a folder "
                    "that they share"
                )
                raise ValueError(msg)
        if self.backup and self.backup.schedule and self.runtime == "local":
            msg = "backup.schedule: it runs in a container: remove it, and let cron run `make backup`"
            raise ValueError(msg)
        source = self.restore_from
        same = source and self.backup and source.repository.rstrip("/") == self.backup.repository.rstrip("/")
        if source and same and not source.in_place and source.prefix in ("", self.name_prefix):
            msg = (
                f"restoreFrom.repository = {source.repository!r}: this cluster is backed up to it under the same names: the "
                "archives of two clusters would become one. Choose another backup.repository"
            )
            raise ValueError(msg)
        return self

    _undistributed: tuple[TableName, ...] = PrivateAttr(())
    _patterns: dict[TableName | TablePattern, TableSettings] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _set_others_apart(self) -> Settings:
        named = cast("dict[TableName | TablePattern, TableSettings]", self.tables)
        for name, table in list(named.items()):
            if isinstance(name, TablePattern) and table.primary_key:
                msg = f"tables.{name}: primaryKey is for one table: remove it, and give that table a line of its own"
                raise ValueError(msg)
            if isinstance(name, TablePattern) or table is EXCLUDED:
                self._patterns[name] = table
            elif table.undistribute:
                self._undistributed += (name,)
            else:
                continue
            del named[name]
        return self

    @property
    def undistributed(self) -> tuple[TableName, ...]:
        """Return the tables that are to be local again; `tables` has those that are sharded."""
        return self._undistributed

    @property
    def patterns(self) -> dict[TableName | TablePattern, TableSettings]:
        """Return what is declared of all tables of a pattern, and the tables that no pattern applies to (EXCLUDED)."""
        return self._patterns

    @property
    def local_ports(self) -> list[int]:
        """Return the ports of local nodes, the coordinator's first."""
        return [self.port, *self._ports(self.worker_ports)]

    @property
    def entry_ports(self) -> list[int]:
        """Return the ports by which clients enter the nodes, the coordinator's first: of poolers, where there are some."""
        first = self.pooler.port if self.pooler else self.port
        return [first, *(self._ports(self.worker_ports) if self.entry == "anyNode" else [])]

    @property
    def ports_of_nodes(self) -> list[int]:
        """Return the ports by which nodes on other hosts reach them, the coordinator's first."""
        return [self.port, *self._ports(self.node_ports)]

    def _ports(self, text: str) -> list[int]:
        first, _, last = text.partition("-")
        return list(range(int(first), int(last) + 1)[: self.workers])

    @classmethod
    def parse(cls, values: dict[str, str], *, stack: str) -> Settings:
        """Validate settings as Pulumi hands them over: strings, with JSON for what is structured.

        Raises:
            SettingsError: with one line for each wrong setting.
        """
        decoded: dict[str, Any] = dict(values)
        for setting in STRUCTURED:
            if setting in decoded:
                decoded[setting] = _decoded_object(setting, values[setting])
        if decoded.get("password") in (None, ""):
            msg = "citus:password is not set: set it with `pulumi config set --secret password`"
            raise SettingsError(msg)
        try:
            settings = cls.model_validate(decoded)
        except ValidationError as error:
            raise SettingsError(*_problems(error, values)) from None
        problems = list(settings.find_parameter_problems(get_known())) or list(settings.find_misfits())
        if problems:
            raise SettingsError(*problems)
        for setting in ("tables", "tenants", "schemas", "roles"):
            known = len(getattr(settings, setting))
            if setting == "tables":
                known += len(settings.undistributed) + len(settings.patterns)
            if known < len(decoded.get(setting, {})):
                what = STRUCTURED[setting].removesuffix(" names")
                msg = f"citus:{setting} names a {what} twice: unquoted names are folded to lower case; remove one"
                raise SettingsError(msg)
        if stack != SEED_STACK and settings.password.get_secret_value() == SEED_PASSWORD:
            msg = (
                f"citus:password of the stack {stack} is the demonstration's published one, which only the stack "
                f"{SEED_STACK} may use: set another with `pulumi config set --secret password`"
            )
            raise SettingsError(msg)
        return settings


def refuse_plain_passwords(config: object) -> None:
    """Refuse a role's password, or a key of a repository, that is no secret in a stack's file.

    `config` is what the file has under that name. Pulumi tells the program of a whole setting whether something in it is a
    secret, and no more.

    Raises:
        SettingsError: with one line for each of them.
    """

    def plain(holder: object, *names: str) -> list[str]:
        return [it for it in names if isinstance(holder, dict) and not isinstance(holder.get(it, {}), dict)]

    found = config if isinstance(config, dict) else {}
    roles = found.get(f"{PROJECT}:roles")
    ways = [
        (f"roles.{name}.{it}", f"roles{_path_part(str(name))}.{it}")
        for name, role in (roles.items() if isinstance(roles, dict) else ())
        for it in plain(role, "password")
    ]
    for setting in ("backup", "restoreFrom"):
        ways += [(f"{setting}.{it}", f"{setting}.{it}") for it in plain(found.get(f"{PROJECT}:{setting}"), *_SECRETS)]
    wrong = [
        f"citus:{name} stands in the settings as plain text: set it with `pulumi config set --path --secret '{way}'`"
        for name, way in ways
    ]
    if wrong:
        raise SettingsError(*wrong)


def _path_part(name: str) -> str:
    return f".{name}" if re.fullmatch(r"\w+", name) else f"[{json.dumps(name, ensure_ascii=False)}]"


def _decoded_object(setting: str, text: str) -> object:
    try:
        decoded = json.loads(text)
        json.dumps(decoded, ensure_ascii=False).encode()  # half a surrogate pair is in no text that can be shown
    except (ValueError, RecursionError):  # numbers of thousands of digits, and nesting without end
        decoded = None
    if setting in ("pooler", "rebalance", "backup", "restoreFrom") and isinstance(decoded, bool):
        return {} if decoded else None
    if not isinstance(decoded, dict):
        got = "" if setting in SECRET else f", got {text!r}"
        msg = f"citus:{setting}: expected a mapping of {STRUCTURED[setting]}{got}"
        raise SettingsError(msg)
    return decoded


_MODELS: Final[dict[str, tuple[str, type[Model]]]] = {
    "hosts": ("a host", HostSettings),
    "tables": ("a table", TableSettings),
    "tenants": ("a table", TenantSettings),
    "rebalance": ("rebalance", RebalanceSettings),
    "pooler": ("the pooler", PoolerSettings),
    "backup": ("backup", BackupSettings),
    "restoreFrom": ("restoreFrom", RestoreSettings),
    "roles": ("a role", RoleSettings),
    "schemas": ("a schema", SchemaSettings),
    "functions": ("a function", FunctionSettings),
}
"""What each mapping holds, and the model of that."""


def _problems(error: ValidationError, values: dict[str, str]) -> list[Problem]:
    """Return each problem: the setting, its value (never a password's) and what to do."""
    known = ", ".join(sorted(to_camel(name) for name in Settings.model_fields))
    problems = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"] if part != "[key]"]
        setting = ".".join(path)
        if not path:  # of several settings together, which its text names
            problems.append(Problem(f"citus:{problem['msg'].removeprefix('Value error, ')}"))
            continue
        if problem["type"] == "extra_forbidden" and len(path) == 1:
            problems.append(Problem(f"unknown setting, remove it; valid ones are {known}", f"citus:{setting}"))
            continue
        if problem["type"] == "extra_forbidden":
            what, model = _MODELS[path[0]]
            takes = ", ".join(map(to_camel, model.model_fields))
            problems.append(Problem(f"citus:{setting} is unknown: {what} takes {takes}"))
            continue
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing" and path[0] == "roles":
            way = f"roles{_path_part(path[1])}.password"
            reason = f"is not set: set it with `pulumi config set --path --secret '{way}'`"
        elif problem["type"] == "missing" and path[-1] in _SECRETS:
            reason = f"is not set: set it with `pulumi config set --path --secret {setting}`"
        shown = "" if _is_secret(path) else _shown(path, values)
        problems.append(Problem(reason, f"citus:{setting}{shown}"))
    return problems


def _is_secret(path: list[str]) -> bool:
    """Tell whether a setting, or a part of one, is or holds what no error shows."""
    if path[0] == "roles":
        return path[2:3] not in (["read"], ["write"], ["connections"])
    return path[0] in SECRET and (len(path) == 1 or path[-1] in _SECRETS)


def _shown(path: list[str], values: dict[str, str]) -> str:
    if path[0] not in values:
        return ""
    value: Any = values[path[0]]
    if path[0] in STRUCTURED:
        value = json.loads(value)
        for part in path[1:]:
            if isinstance(value, dict) and part in value:
                value = value[part]
            else:
                break
    return f" = {value!r}" if isinstance(value, str) else f" = {json.dumps(value, ensure_ascii=False)}"
