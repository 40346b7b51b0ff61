"""The nodes' image with what backups need, built on top of the declared one. Declares nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.nodes.docker.image import find_image

if TYPE_CHECKING:
    from components.settings import Settings

__all__ = ["CONTEXT", "find_built", "get_base", "get_recipe", "is_as_built", "needs_backups", "tag"]

CONTEXT: Final = Path(__file__).parent / "files" / "backups"
_BASE: Final = "citus-pulumi.base"
"""Label that the Dockerfile gives; its value is the id of the image that it was built on."""
_RECIPE: Final = "citus-pulumi.recipe"
"""Label that the Dockerfile gives; its value tells the Dockerfile and the setting that it was built by."""


def needs_backups(settings: Settings) -> bool:
    """Tell whether the nodes need more than the declared image has."""
    return bool(settings.backup or settings.restore_from)


def get_recipe(image: str) -> str:
    """Return what tells the Dockerfile and the declared image apart from others."""
    return hashlib.sha256((CONTEXT / "Dockerfile").read_bytes() + image.encode()).hexdigest()[:12]


def tag(image: str) -> str:
    """Return what the image that is built on a declared one is called."""
    return f"citus-pulumi/nodes:{get_recipe(image)}"


def find_built(client: Any, declared: str) -> str:
    """Return the id of the image that would be built on the declared one, and on what that name stands for now.

    Empty where the engine does not have it.
    """
    base, built = find_image(client, declared), find_image(client, tag(declared))
    made = base and built and (built.labels.get(_BASE), built.labels.get(_RECIPE)) == (base.id, get_recipe(declared))
    return str(built.id) if made else ""


def get_base(client: Any, image: str) -> str:
    """Return the id of the image that one was built on; its own where it was not built here."""
    found = find_image(client, image)
    return str(found.labels.get(_BASE, image)) if found else image


def is_as_built(client: Any, image: str, declared: str) -> bool:
    """Tell whether an image is the one that would be built on a declared one."""
    found = find_image(client, image)
    return found is not None and found.labels.get(_RECIPE) == get_recipe(declared)
