"""Another image for a stack that has data: what fits goes on, what does not is refused at preview, and nothing is touched."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Final

import docker
import pytest

from tests.e2e.nodes import DOCKER, DockerNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.stack import Stack

RUNTIMES = [DOCKER]
ONE_ENGINE = "images are built on the engine that `docker` uses"
NAME: Final = "citus-pulumi-test"
OF_POSTGRES_18: Final = """FROM citusdata/citus:12.1
ENV PG_MAJOR=18 PGDATA=/var/lib/postgresql/18/docker
RUN install -d -o postgres -g postgres /var/lib/postgresql/18 && cd /usr/local/bin && mv docker-entrypoint.sh own.sh && \\
    printf '%s\\n' '#!/usr/bin/env bash' \\
        '[ "$PGDATA" != /var/lib/postgresql/18/docker ] || ! mountpoint -q /var/lib/postgresql/data || exit 1' \\
        'exec own.sh "$@"' > docker-entrypoint.sh && chmod +x docker-entrypoint.sh
VOLUME /var/lib/postgresql
"""
"""As the official images from PostgreSQL 18 on: data in another folder, and a mount at the old one refused."""
OF_POSTGRES_16: Final = """FROM citusdata/citus:12.1
RUN printf '%s\\n' '#!/bin/sh' '[ "$1" = --version ] && echo "postgres (PostgreSQL) 16.4"' > /usr/local/bin/postgres && \\
    chmod +x /usr/local/bin/postgres
"""
WITHOUT_CITUS: Final = "FROM citusdata/citus:12.1\nRUN rm /usr/share/postgresql/*/extension/citus.control\n"
DERIVED: Final = "FROM citusdata/citus:12.1\nENV DERIVED=1\n"


@pytest.fixture(scope="module")
def build() -> Iterator[Callable[[str, str], str]]:
    """Build images by tag, from a Dockerfile each; they are gone after the module."""
    client = docker.from_env()
    built: set[str] = set()

    def make(tag: str, dockerfile: str) -> str:
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            described = tarfile.TarInfo("Dockerfile")
            described.size = len(dockerfile.encode())
            archive.addfile(described, io.BytesIO(dockerfile.encode()))
        context.seek(0)
        client.images.build(fileobj=context, custom_context=True, tag=f"{NAME}:{tag}", rm=True)
        built.add(f"{NAME}:{tag}")
        return f"{NAME}:{tag}"

    yield make
    for image in built:
        client.images.remove(image, force=True)
    client.close()


@pytest.fixture(scope="module")
def stack(
    new_stack: Callable[..., Stack], build: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Stack:
    """A stack that is up on an image as those of PostgreSQL 18 are, with one row and a locale of its own."""
    schema = tmp_path_factory.mktemp("schema")
    (schema / "010.sql").write_text(
        "create table bird (id int primary key, name text); insert into bird values (1, 'ñandú');"
    )
    made = new_stack(
        "images",
        workers=1,
        readyTimeout=180,
        schemaDir=str(schema),
        tables={"bird": {"distributeBy": "id"}},
        locale="en_US.UTF-8",
        image=build("18", OF_POSTGRES_18),
    )
    done = made.up()
    assert done.code == 0, done.output
    return made


def _refusal(stack: Stack, **settings: str) -> str:
    """Return the error of a preview with these settings, which leaves every container as it was."""
    assert isinstance(stack.nodes, DockerNodes)
    before = [stack.nodes.container(node).id for node in ("coordinator", "worker_1")]
    stack.set(**settings)
    preview = stack.preview()
    assert preview.code != 0, preview.output
    assert [stack.nodes.container(node).id for node in ("coordinator", "worker_1")] == before
    return preview.errors


def test_an_image_of_postgresql_18_keeps_its_data_in_the_volume(stack: Stack) -> None:
    """A container that is taken away comes back with its rows, though its image would keep them elsewhere."""
    stack.nodes.remove("coordinator")
    stack.refresh()
    done = stack.up()
    assert done.code == 0, done.output
    assert stack.query("select name from bird") == ["ñandú"]


def test_another_major_version_is_refused_with_both(
    stack: Stack, settings: None, build: Callable[[str, str], str]
) -> None:
    """By what the image's server says; the volumes, and both versions, are named."""
    errors = _refusal(stack, image=build("16", OF_POSTGRES_16))
    assert (
        f"it has PostgreSQL 16.4, and the data in {stack.name}_coordinator_data, {stack.name}_worker_1_data" in errors
    )
    assert "made by PostgreSQL 15" in errors


def test_an_image_without_citus_is_refused(stack: Stack, settings: None, build: Callable[[str, str], str]) -> None:
    """What it lacks is named."""
    assert "it has no Citus (citus.control)" in _refusal(stack, image=build("plain", WITHOUT_CITUS))


def test_an_older_citus_than_the_databases_is_refused(
    stack: Stack, settings: None, build: Callable[[str, str], str]
) -> None:
    """As an older image finds it: the extension in the database is of the release after."""
    stack.query("update pg_extension set extversion = '13.0-1' where extname = 'citus'")
    try:
        errors = _refusal(stack, image=build("derived", DERIVED))
    finally:
        stack.query("update pg_extension set extversion = '12.1-1' where extname = 'citus'")
    assert "it has Citus 12.1-1, and the database has the extension citus 13.0-1" in errors
    assert "set an image of Citus 13.0, or a newer one" in errors


def test_another_locale_is_refused_where_there_is_data(stack: Stack, settings: None) -> None:
    """It would be without effect on the nodes that there are, and new ones would differ from them."""
    assert "this stack's data was made with 'en_US.UTF-8'" in _refusal(stack, locale="C.UTF-8")


def test_an_image_that_fits_takes_over_the_data_and_new_workers_get_its_locale(
    stack: Stack, build: Callable[[str, str], str]
) -> None:
    """The containers are replaced on their volumes; a worker that comes later sorts as the others do."""
    stack.set(image=build("derived", DERIVED), locale=None, workers=2)
    done = stack.up()
    assert done.code == 0, done.output
    assert stack.query("select name from bird") == ["ñandú"]
    collations = (
        "select result from run_command_on_all_nodes($$select datcollate from pg_database where datname = 'coorddb'$$)"
    )
    assert stack.query(collations) == ["en_US.UTF-8"] * 3
    again = stack.preview()
    assert set(again.changes()) == {"unchanged"}, again.output
