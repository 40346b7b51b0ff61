"""What an image of nodes holds and what a stack's data was made by: compared before the image is put on the data.

An image is looked into by its environment and by one run of it; data by its own files, in the volume. Where all nodes run the
image already, it is not run again: a preview of an unchanged stack stays quick.
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.errors import DockerError
from components.nodes.locales import choose_locale, get_initial_locale, lacks_locale
from components.nodes.versions import describe_upgrade, get_extension_problem, get_major
from components.schema.needs import KnownServer, parse_release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "VOLUME_FOLDER",
    "Data",
    "FoundNodes",
    "Image",
    "Verdict",
    "describe_image",
    "describe_missing",
    "get_disagreements",
    "get_shortcomings",
    "look_into",
]


VOLUME_FOLDER: Final = "/var/lib/postgresql/data"
"""Where a node's volume is mounted. PGDATA is set to it, or into it: from PostgreSQL 18 on the official images choose another
folder by themselves, and would leave the volume empty."""


RUN_SECONDS: Final = 60


_SCRIPT: Final = Path(__file__).parent / "files" / "describe_image.sh"


@dataclass(frozen=True)
class Image:
    """What an image says of itself, and what a run of it said."""

    name: str
    postgres: str
    """Version of its server; empty where it has none."""
    citus: str
    """Version of the extension citus that it brings, as 12.1-1; empty where it brings none."""
    labelled_postgres: str = ""
    """Major version by its environment."""
    labelled_citus: str = ""
    """Version of Citus by its environment."""
    locales: tuple[str, ...] = ()
    """Those that it has; empty where it cannot tell."""
    missing: tuple[str, ...] = ()
    """Programs that a node needs and the image lacks."""
    extensions: tuple[str, ...] = ()
    free_mb: int | None = None
    """Room on the engine's disk; None where it cannot tell."""

    @property
    def server(self) -> KnownServer:
        """Return what it tells of servers that are made of it."""
        return KnownServer(
            f"the image {self.name}",
            get_major(self.postgres),
            frozenset(self.extensions),
            citus=parse_release(self.citus),
        )


@dataclass(frozen=True)
class Data:
    """What is known of the data in a node's volume."""

    volume: str
    major: str
    """Major version of the PostgreSQL that made it."""
    locale: str
    """Empty where its files do not tell."""


@dataclass(frozen=True)
class FoundNodes:
    """What is on the engine of the declared nodes, the coordinator first."""

    volumes: Mapping[str, str | None]
    """The volumes that are there, each with the id of its node's container, or None where there is no container."""
    images: frozenset[str]
    """Ids of the images that their containers were made of."""


@dataclass(frozen=True)
class Verdict:
    """What containers are to be made with, and what stands in the way."""

    locale: str
    data_folder: str = VOLUME_FOLDER
    """PGDATA."""
    problems: tuple[str, ...] = ()
    server: KnownServer = field(default_factory=KnownServer)
    """What is known of the image's server; nothing where it was not run."""
    free_mb: int | None = None
    """Room on the engine's disk; None where the image was not run."""


def look_into(client: Any, name: str, locale: str, nodes: FoundNodes, extension: Callable[[], str]) -> Verdict:
    """Compare an image with the data that it is to be put on.

    Args:
        client: of the engine.
        name: the image, by the setting.
        locale: by the setting; may be empty.
        nodes: what is there of the stack.
        extension: asks the running cluster for the version of its extension citus; returns nothing where it does not answer.
    """
    import docker as sdk  # noqa: PLC0415 - slow to import

    found = _find(client, name, needed=bool(nodes.volumes))
    environment = _environment_of_nodes(client, nodes, found)
    folder = _data_folder(environment)
    is_known = found is None or (nodes.images == {found.id} and None not in nodes.volumes.values())
    readable = {volume: container for volume, container in nodes.volumes.items() if container or found}
    reading = (_read_data(client, volume, container, folder, found) for volume, container in readable.items())
    data: list[Data] = []
    locale_of_data = _declared_locale(environment)
    if not (is_known and locale_of_data and locale in ("", locale_of_data)):
        data = list(itertools.islice(filter(None, reading), 1))  # the coordinator's tells the locale of all
        locale_of_data = data[0].locale if data else ""
    chosen, why = choose_locale(locale, locale_of_data)
    problems = [why] if why else []
    if is_known:
        return Verdict(chosen, folder, tuple(problems))
    try:
        # What it says of itself counts as long as no node of the stack runs it: from then on its server is known to fit.
        image = describe_image(client, name, {} if found.id in nodes.images else _environment(found.attrs["Config"]))
    except sdk.errors.APIError as error:
        problems.append(
            f"citus:image = {name!r}: it cannot be run here ({error.explanation}){_platforms(client, found)}"
        )
        return Verdict(chosen, folder, tuple(problems))
    data += filter(None, reading)
    known = ""
    if data and nodes.images != {found.id}:
        known = extension() or _brought_by(client, nodes.images)
        if not known:
            pulumi.log.warn(
                f"citus:image = {name!r}: the cluster does not answer, so the version of its extension citus could not be "
                f"compared with the image's Citus {image.citus}"
            )
    problems += [*get_shortcomings(image, chosen), *get_disagreements(image, data, known)]
    if not problems and (upgrade := describe_upgrade((image.citus, image.labelled_citus), known)):
        pulumi.log.info(f"citus:image = {name!r}: {upgrade}")
    return Verdict(chosen, folder, tuple(problems), image.server, image.free_mb)


# --- what is there -----------------------------------------------------------------------------------------------------


def describe_image(client: Any, name: str, environment: Mapping[str, str]) -> Image:
    """Run an image that the engine has, once, without network, volume or entry point.

    Raises:
        docker.errors.APIError: it cannot be run at all.
    """
    script = _SCRIPT.read_text("utf-8")
    container = client.containers.create(name, ["-c", script], entrypoint="sh", network_mode="none")
    try:
        container.start()
        container.wait(timeout=RUN_SECONDS)
        said = container.logs(stderr=False)
    finally:
        container.remove(v=True, force=True)
    lines = [line.partition("=")[::2] for line in said.decode("utf-8", errors="replace").splitlines()]
    found = {key: tuple(value for other, value in lines if other == key) for key, _ in lines}
    return Image(
        name=name,
        postgres="".join(found.get("postgres", ())),
        citus="".join(found.get("citus", ())),
        labelled_postgres=environment.get("PG_MAJOR", ""),
        labelled_citus=environment.get("CITUS_VERSION", ""),
        locales=found.get("locale", ()),
        missing=found.get("lacks", ()),
        extensions=found.get("extension", ()),
        free_mb=next((int(value) >> 10 for value in found.get("free", ()) if value.isdecimal()), None),
    )


def describe_missing(setting: str, image: str, refusal: str, who: str = "the engine") -> str:
    """Return the line for an image that an engine neither has nor can pull."""
    return (
        f"citus:{setting} = {image!r}: {who} does not have it and cannot pull it ({refusal}): correct the name, log in "
        "to its registry, or load the image"
    )


def find_image(client: Any, name: str) -> Any:
    """Return an image that the engine has, by its name or id; None where it does not have it."""
    import docker as sdk  # noqa: PLC0415

    try:
        return client.images.get(name)
    except sdk.errors.ImageNotFound:
        return None


def _find(client: Any, name: str, *, needed: bool) -> Any:
    """Return the image; None where the engine does not have it and nothing is to be compared with it, or not yet."""
    found = find_image(client, name)
    if found is not None or not needed:
        return found
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(
            f"citus:image = {name!r} is not on the engine yet, so a preview cannot tell whether it fits this stack's data: "
            "the update pulls it, and compares before anything is touched; `docker pull` it to see now"
        )
        return None
    pulumi.log.info(f"pulling {name}, to compare it with this stack's data before anything is touched")
    import docker as sdk  # noqa: PLC0415

    try:
        return client.images.pull(name)
    except sdk.errors.APIError as error:
        raise DockerError(describe_missing("image", name, str(error.explanation))) from None


def _environment_of_nodes(client: Any, nodes: FoundNodes, image: Any) -> dict[str, str]:
    """Return the environment of the containers that are there, else the one that the image gives them."""
    containers = [container for container in nodes.volumes.values() if container]
    of = client.api.inspect_container(containers[0]) if containers else image.attrs if image else {}
    return _environment(of.get("Config") or {})


def _data_folder(environment: Mapping[str, str]) -> str:
    """Return PGDATA as it is, where that is within the volume."""
    chosen = environment.get("PGDATA", "")
    return chosen if PurePosixPath(chosen).is_relative_to(VOLUME_FOLDER) else VOLUME_FOLDER


def _declared_locale(environment: Mapping[str, str]) -> str:
    """Return the locale that this program gave a container; nothing where an older one made it, which gave none."""
    found = re.search(r"--locale=(\S+)", environment.get("POSTGRES_INITDB_ARGS", ""))
    return found[1] if found else ""


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or ())


def _read_data(client: Any, volume: str, container: str | None, folder: str, image: Any) -> Data | None:
    """Read what made the data in a volume; None where there is none yet.

    By way of its container where there is one, running or not; else of one that is made for the moment and never started.
    """
    import docker as sdk  # noqa: PLC0415

    made = None
    if container is None:
        bound = {volume: {"bind": VOLUME_FOLDER, "mode": "ro"}}
        made = client.containers.create(image.id, network_mode="none", volumes=bound)
    holder = made or client.containers.get(container)
    try:
        major = _read_file(holder, f"{folder}/PG_VERSION").strip()
        return Data(volume, major, get_initial_locale(_read_file(holder, f"{folder}/postgresql.conf")))
    except sdk.errors.NotFound:
        return None
    finally:
        if made is not None:
            made.remove(v=True)


def _read_file(container: Any, path: str) -> str:
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        file = archive.extractfile(PurePosixPath(path).name)
        return file.read().decode("utf-8", errors="replace") if file else ""


def _brought_by(client: Any, images: frozenset[str]) -> str:
    """Return the version of Citus that the nodes' present image brings; nothing where that cannot be told."""
    import docker as sdk  # noqa: PLC0415

    for image in images:
        try:
            return describe_image(client, image, {}).citus
        except sdk.errors.DockerException:
            continue
    return ""


def _platforms(client: Any, image: Any) -> str:
    """Return a remark where the image is for another processor than the engine's."""
    wanted, there = image.attrs.get("Architecture"), client.version().get("Arch")
    return f": it is for {wanted}, and the engine runs on {there}: choose an image for that" if wanted != there else ""


# --- comparing -----------------------------------------------------------------------------------------------------------


def get_shortcomings(image: Image, locale: str) -> list[str]:
    """Return what an image lacks that every node needs, a line each, with what to do."""
    needs = {"PostgreSQL": image.postgres, "Citus (citus.control)": image.citus}
    lacks = [*(need for need, found in needs.items() if not found), *image.missing]
    problems = []
    if lacks:
        problems.append(
            f"citus:image = {image.name!r}: it has no {' and no '.join(lacks)}: choose an image that is made like "
            "citusdata/citus, or one that is derived from it"
        )
    if lacks_locale(locale, image.locales):
        problems.append(
            f"citus:locale = {locale!r}: the image {image.name} does not have it; it has {', '.join(image.locales)}: set one "
            "of these, or derive an image that has yours (localedef)"
        )
    return problems


def get_disagreements(image: Image, data: Sequence[Data], extension: str) -> list[str]:
    """Return why an image cannot be put on data that is there, a line each, with both versions and what to do.

    Args:
        image: the image.
        data: of each volume that has any.
        extension: version of the extension citus in the database; empty where it is not known.
    """
    problems = []
    for made_by in dict.fromkeys(one.major for one in data):
        servers = (image.postgres, image.labelled_postgres)
        other = [version for version in servers if version and get_major(version) != get_major(made_by)]
        if other:
            volumes = ", ".join(one.volume for one in data if one.major == made_by)
            problems.append(
                f"citus:image = {image.name!r}: it has PostgreSQL {other[0]}, and the data in {volumes} was made by PostgreSQL "
                f"{made_by}, which another major version does not read: set an image of PostgreSQL {made_by}; or dump the "
                "data, and restore it into a new stack with that image"
            )
    why = get_extension_problem((image.citus, image.labelled_citus), extension, "set an image of Citus {}")
    return [*problems, *([f"citus:image = {image.name!r}: {why}"] if why else [])]
