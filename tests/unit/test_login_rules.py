"""pg_hba.conf: what it lets in, and nothing else."""

from __future__ import annotations

import pytest

from components.database.login_rules import Peers, render


def lines(kind: str, *roles: str, user: str = "postgres") -> list[str]:
    """Return the lines that are no comment."""
    text = render(kind, database="coorddb", user=user, roles=roles)  # type: ignore[arg-type]
    assert text.endswith("\n")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_coordinator_takes_known_roles_by_tls_from_anywhere() -> None:
    """Each in the one database; the superuser too, for this program comes from another machine."""
    assert [line for line in lines("coordinator", "app", "till") if line.startswith("hostssl")] == [
        'hostssl all "postgres" all scram-sha-256',
        'hostssl "coorddb" "postgres" all scram-sha-256',
        'hostssl "coorddb" "app" all scram-sha-256',
        'hostssl "coorddb" "till" all scram-sha-256',
    ]


def test_a_worker_is_for_its_own_networks_alone() -> None:
    """Nobody comes to it from elsewhere, and nobody without TLS but from its own machine."""
    made = lines("worker", "app")
    assert {line.split()[3] for line in made if line.startswith("hostssl")} == {"samenet"}
    assert {line.split()[3] for line in made if line.startswith("host ")} == {"127.0.0.1/32", "::1/128"}


def test_a_process_of_this_host_has_no_socket_and_no_other_machines() -> None:
    """Every line is of the host itself, and with a password."""
    assert all(line.startswith("host ") and line.endswith(" scram-sha-256") for line in lines("process", "app"))


@pytest.mark.parametrize("kind", ["coordinator", "worker", "process"])
def test_only_the_superuser_uses_other_databases_and_only_by_the_socket_without_a_password(kind: str) -> None:
    """No line lets all roles in from the network, and no line with `all` databases is another role's."""
    for line in lines(kind, "app", "postgres"):
        where, database, role, *rest = line.split()
        assert database == '"coorddb"' or role == '"postgres"'
        assert role != "all" or where == "local"
        assert rest[-1] == "scram-sha-256" or (where, role) == ("local", '"postgres"')


def test_names_are_names_whatever_they_look_like() -> None:
    """Keywords, groups, files and quotes are quoted; what no quotes help is left out."""
    assert 'hostssl "coorddb" "all" samenet scram-sha-256' in lines("worker", "all")
    assert 'hostssl "coorddb" "+a ""b""" samenet scram-sha-256' in lines("worker", '+a "b"')
    assert lines("worker", "/.*") == lines("worker")


def test_a_worker_that_others_reach_is_for_nodes_with_a_certificate_alone() -> None:
    """From the addresses of the hosts, over TLS; who they are stands in the file, for whoever writes it again."""
    peers = Peers(("samenet", "10.0.0.2/32"), verified=True)
    text = render("worker", database="coorddb", user="postgres", roles=["app"], peers=peers)
    made = [line for line in text.splitlines() if line.startswith("hostssl")]
    assert {line.split()[3] for line in made} == {"samenet", "10.0.0.2/32"}
    assert all(line.endswith(" scram-sha-256 clientcert=verify-ca") for line in made)
    assert Peers.parse(text) == peers
    assert Peers.parse(render("worker", database="d", user="u", roles=[])) == Peers()
    of_coordinator = render("coordinator", database="coorddb", user="postgres", roles=["app"], peers=peers)
    assert "clientcert" not in of_coordinator
