"""PgBouncer before a node: what its container has. Declares nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.database.pooling import POOLER
from components.nodes.docker.keypair import AUTHORITY
from components.nodes.docker.shape import POSTGRES_PORT
from components.nodes.node import node_names, pooler_name, schedule_name

if TYPE_CHECKING:
    from components.settings import PoolerSettings, Settings

__all__ = ["FOLDER", "get_container_names", "get_pooler_ports", "render_ini", "render_userlist"]

FOLDER: Final = "/etc/citus-pulumi"
_RUN: Final = "/run/citus-pulumi"
"""Made by start_pooler.sh."""
_RESERVED: Final = 20
"""Connections of a node that poolers leave to people, to this program and to the nodes' own."""


def get_container_names(settings: Settings) -> list[str]:
    """Return the names of all containers that the settings declare, the coordinator's first."""
    is_scheduled = settings.backup and settings.backup.schedule
    further = [schedule_name(settings.name_prefix)] if is_scheduled else []
    return [*node_names(settings), *get_pooler_ports(settings), *further]


def get_pooler_ports(settings: Settings) -> dict[str, int]:
    """Return the port on which each pooler is published, by its name, the coordinator's first."""
    names = map(pooler_name, node_names(settings))
    return dict(zip(names, settings.entry_ports, strict=False)) if settings.pooler else {}


def render_ini(settings: Settings, pooler: PoolerSettings, node: str, connections: int) -> str:
    """Return pgbouncer.ini of the pooler before a node, whose server takes so many connections."""
    most = max(connections - _RESERVED, 1)
    authority = f"{FOLDER}/{AUTHORITY}" if settings.verifies else f"{_RUN}/server.crt"
    lines = {
        "listen_addr": "*",
        "listen_port": str(POSTGRES_PORT),
        "unix_socket_dir": "",
        "pool_mode": "transaction",
        "max_prepared_statements": "200",
        "auth_type": "scram-sha-256",
        "auth_file": f"{_RUN}/userlist.txt",
        "auth_user": POOLER,
        "auth_query": "select name, verifier from citus_pulumi.find_login($1)",
        "auth_dbname": settings.database,
        "default_pool_size": str(min(pooler.pool_size, most)),
        "max_db_connections": str(most),
        "max_client_conn": str(pooler.max_clients),
        "client_tls_sslmode": "require",
        "client_tls_cert_file": f"{_RUN}/server.crt",
        "client_tls_key_file": f"{_RUN}/server.key",
        "server_tls_sslmode": "verify-full" if settings.verifies else "require",
        # Where nothing is verified by these, images that have no list of authorities fail without them.
        "client_tls_ca_file": authority,
        "server_tls_ca_file": authority,
        **(
            {"server_tls_cert_file": f"{_RUN}/server.crt", "server_tls_key_file": f"{_RUN}/server.key"}
            if settings.verifies
            else {}
        ),
        # Parameters that drivers send when they log in, and that a session of many clients cannot keep.
        "ignore_startup_parameters": "extra_float_digits,options",
        # A node that is made again has another address.
        "dns_max_ttl": "2",
        "server_login_retry": "1",
        "log_connections": "0",
        "log_disconnections": "0",
    }
    # Whatever database a client names: a name may have characters that this file cannot, and pg_hba.conf says who uses which.
    database = f"* = host={node} port={POSTGRES_PORT}"
    return "\n".join(
        ["[databases]", database, "", "[pgbouncer]", *(f"{key} = {value}" for key, value in lines.items()), ""]
    )


def render_userlist(password: str) -> str:
    """Return userlist.txt: how the pooler itself logs in."""
    return f'"{POOLER}" "{password}"\n'
