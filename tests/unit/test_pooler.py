"""What a pooler's container is given."""

from __future__ import annotations

from configparser import ConfigParser

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from components.certificates import make_certificate
from components.nodes.docker.pooler import get_container_names, get_pooler_ports, render_ini
from components.settings import Settings


def settings(pooler: str) -> Settings:
    """Read settings with a pooler."""
    return Settings.parse({"password": "x", "pooler": pooler, "workers": "1"}, stack="test")


def ini(pooler: str, connections: int) -> dict[str, str]:
    """Return the section of PgBouncer's own settings."""
    read = ConfigParser(delimiters=("=",), interpolation=None)
    given = settings(pooler)
    assert given.pooler
    read.read_string(render_ini(given, given.pooler, "n", connections))
    assert read["databases"]["*"] == "host=n port=5432"
    return dict(read["pgbouncer"])


@pytest.mark.parametrize(("connections", "of_a_role", "of_all"), [(200, "64", "180"), (50, "30", "30"), (20, "1", "1")])
def test_a_pool_leaves_connections_of_the_server_to_others(connections: int, of_a_role: str, of_all: str) -> None:
    """Twenty, where the server has as many."""
    made = ini('{"poolSize": 64, "maxClients": 7}', connections)
    assert (made["default_pool_size"], made["max_db_connections"], made["max_client_conn"]) == (of_a_role, of_all, "7")


def test_both_sides_are_encrypted_and_transactions_share_sessions() -> None:
    """With statements that were prepared by the protocol."""
    made = ini("true", 200)
    assert (made["client_tls_sslmode"], made["server_tls_sslmode"]) == ("require", "require")
    assert (made["pool_mode"], made["auth_type"]) == ("transaction", "scram-sha-256")
    assert int(made["max_prepared_statements"]) > 0


def test_the_pooler_is_one_of_the_containers_where_it_is_declared() -> None:
    """And nothing is where it is not."""
    assert get_container_names(settings("true")) == ["citus_coordinator", "citus_worker_1", "citus_coordinator_pooler"]
    entered = Settings.parse({"password": "x", "pooler": "true", "workers": "2", "entry": "anyNode"}, stack="test")
    assert get_pooler_ports(entered) == {
        "citus_coordinator_pooler": 6432,
        "citus_worker_1_pooler": 5441,
        "citus_worker_2_pooler": 5442,
    }
    assert get_container_names(settings("false")) == ["citus_coordinator", "citus_worker_1"]


def test_a_certificate_has_its_own_key() -> None:
    """And lasts for years."""
    certificate, key = make_certificate("a pooler")
    read = x509.load_pem_x509_certificate(certificate.encode())
    assert read.public_key() == load_pem_private_key(key.encode(), None).public_key()
    assert (read.not_valid_after_utc - read.not_valid_before_utc).days > 3000
