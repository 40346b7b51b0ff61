"""Which stack a person means who names none: Docker's where it can run, else the one of local processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import docker
import yaml

__all__ = ["choose_stack"]

DOCKER_STACK: Final = "dev"
LOCAL_STACK: Final = "local"


def choose_stack() -> str:
    """Return the stack to use, and say in one line which it is and why."""
    why = _why_not_docker()
    name = LOCAL_STACK if why else DOCKER_STACK
    reason = f"{why}: PostgreSQL processes of this host instead" if why else "a Docker Engine answers and has the image"
    print(f"stack {name}: {reason} (STACK=… names another)", flush=True)
    return name


def _why_not_docker() -> str:
    """Return why Docker cannot run the stack; nothing where it can."""
    settings = yaml.safe_load(Path(f"Pulumi.{DOCKER_STACK}.yaml").read_text("utf-8"))["config"]
    project = yaml.safe_load(Path("Pulumi.yaml").read_text("utf-8"))["config"]
    image = settings.get("citus:image") or project["image"]["default"]
    try:
        engine = docker.from_env(timeout=10)
        try:
            engine.images.get(image)
        except docker.errors.ImageNotFound:
            engine.images.get_registry_data(image)
    except docker.errors.APIError as error:
        return f"the Docker Engine has no image {image} and cannot pull it ({error.explanation})"
    except docker.errors.DockerException:
        return f"no Docker Engine answers at {os.environ.get('DOCKER_HOST', 'its usual address')}"
    return ""
