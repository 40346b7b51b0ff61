"""A change of the password of the stack's user that fails half-way leaves nodes that let each other in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from components.errors import HostError
from components.nodes.local.passfile import FolderPassfile
from components.nodes.passfile import as_lines, open_passfile
from components.nodes.password import PasswordOfNode, UserPasswordInputs, UserPasswordProvider
from components.resources.wire import write
from tests.provider.resources import Resource
from tests.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.provider.resources import Cluster

pytestmark = pytest.mark.needs("citus")


def test_passfiles_that_cannot_all_be_switched_show_the_former_password_again(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role keeps its password, for its transaction is rolled back; and so do the nodes that had switched already."""
    nodes = []
    for number, server in enumerate(cluster.servers):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "passfile").write_text(as_lines(USER, PASSWORD, {}))
        nodes.append(
            PasswordOfNode(node_name=HOST, node_port=server.port, passfile=f"folder:{folder}", generation=str(number))
        )
    inputs = UserPasswordInputs(**vars(cluster.access()), mark="1", nodes=tuple(nodes))
    changed = Resource(UserPasswordProvider(), write(inputs), password="another")
    switch = FolderPassfile.switch

    def fail_once(passfile: FolderPassfile) -> None:
        if passfile.folder.name == "1":
            monkeypatch.setattr(FolderPassfile, "switch", switch)
            msg = "no room"
            raise HostError(msg)
        switch(passfile)

    monkeypatch.setattr(FolderPassfile, "switch", fail_once)

    with pytest.raises(HostError, match="no room"):
        changed.up()

    assert {open_passfile(str(node.passfile)).read()[0] for node in nodes} == {PASSWORD}
    for server in cluster.servers:
        server.connect(cluster.database).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            server.connect(cluster.database, "another")
