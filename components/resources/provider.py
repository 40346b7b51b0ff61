"""What the providers of all dynamic resources share: the password, and how states are compared.

Providers are pickled by reference and shared by threads: they keep nothing but what `configure` gave them.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import (
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from components import registry
from components.environment import print_anything

__all__ = ["DeclarativeProvider"]


class DeclarativeProvider(ResourceProvider):
    """Base of the providers. A subclass names the properties whose change means work, and does the work."""

    serialize_as_secret_always = False
    compared: ClassVar[tuple[str, ...]] = ()
    """Properties whose difference between state and program makes an update."""
    replacing: ClassVar[tuple[str, ...]] = ()
    """Those of them that make another resource of it."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties that the provider adds to the inputs."""

    def configure(self, req: ConfigureRequest) -> None:
        """Take the password from the stack's settings, so that it is no property of any resource."""
        print_anything("utf-8")  # Pulumi reads it, whatever this process takes for the terminal's encoding
        self.password: str = req.config.require("citus:password")
        self._config = req.config

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name that stays the same wherever the class moves."""
        return registry.load_provider, (type(self).__name__,)

    @staticmethod
    def is_renamed(olds: dict[str, Any], news: dict[str, Any]) -> bool:
        """Tell whether the state has the provider under another name; an update writes the new one."""
        return bool(olds.get("__provider") != news.get("__provider"))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare the named properties; an unknown value counts as a change, never as a replacement."""
        changed = [name for name in self.compared if _olds.get(name) != _news.get(name)]
        known = [name for name in changed if not isinstance(_news.get(name), pulumi.output.Unknown)]
        replaces = [name for name in known if name in self.replacing]
        return DiffResult(
            changes=bool(changed) or self.is_renamed(_olds, _news), replaces=replaces, delete_before_replace=True
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make what is declared, or take it over where it is there already."""
        return CreateResult(self.identify(props), {**props, **self.ensure(props, {})})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Bring it to what is declared."""
        return UpdateResult({**_news, **self.ensure(_news, _olds)})

    def identify(self, props: dict[str, Any]) -> str:
        """Return the id of the resource with these inputs."""
        raise NotImplementedError

    def ensure(self, props: dict[str, Any], olds: dict[str, Any]) -> dict[str, Any]:
        """Bring it to its inputs and return what the provider adds to them; `olds` is empty where it is new."""
        raise NotImplementedError

    def seen(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return what a refresh found, as inputs too: `check` then compares the program with what is really there."""
        inputs = {name: value for name, value in props.items() if name not in (*self.outputs, "__provider")}
        return ReadResult(id_, props, inputs)
