"""What the providers of all dynamic resources share: the password, and how states are compared.

Providers are pickled by reference and shared by threads: they keep nothing but what `configure` gave them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from components import registry
from components.environment import print_anything
from components.resources.wire import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.resources.wire import Props

__all__ = ["DeclarativeProvider", "tell"]

I = TypeVar("I")  # noqa: E741 - the inputs


def tell(lines: Iterable[str]) -> None:
    """Print lines, which Pulumi shows with the resource."""
    for line in lines:
        print(line)  # noqa: T201


class DeclarativeProvider(ResourceProvider, Generic[I]):
    """Base of the providers. A subclass names its inputs and those whose change means work, and does the work."""

    serialize_as_secret_always = False
    inputs: ClassVar[type[Any]]
    """The dataclass of the inputs."""
    compared: ClassVar[tuple[str, ...]] = ()
    """Properties whose difference between state and program makes an update."""
    replacing: ClassVar[tuple[str, ...]] = ()
    """Those of them that make another resource of it."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties that the provider adds to the inputs."""

    # --- what a subclass says -----------------------------------------------------------------------------------------

    def refuse(self, before: Props, inputs: I) -> Iterable[str]:
        """Yield, at preview, why these inputs cannot be; `before` is empty where the resource is new."""
        return ()

    def announce(self, before: Props, inputs: I) -> Iterable[str]:
        """Yield, at preview and again in the update, what it means for the cluster; `before` as in `refuse`."""
        return ()

    def identify(self, inputs: I, outputs: Props) -> str:
        """Return the id of a resource that is new."""
        raise NotImplementedError

    def ensure(self, inputs: I, before: Props) -> Props:
        """Bring it to its inputs and return the outputs; `before` is its state, empty where it is new."""
        raise NotImplementedError

    # --- what Pulumi calls --------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name that stays the same wherever the class moves."""
        return registry.load_provider, (type(self).__name__,)

    def configure(self, req: ConfigureRequest) -> None:
        """Take the password from the stack's settings, so that it is no property of any resource."""
        print_anything("utf-8")  # Pulumi reads it, whatever this process takes for the terminal's encoding
        registry.import_ahead()
        self.password: str = req.config.require("citus:password")
        self._config = req.config

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse what cannot be, and announce what is to be."""
        inputs = self.read_inputs(news)
        tell(self.announce(_olds, inputs))
        return CheckResult(news, [CheckFailure("", reason) for reason in self.refuse(_olds, inputs)])

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare the named properties; an unknown value counts as a change, never as a replacement."""
        changed = [name for name in self.compared if _olds.get(name) != _news.get(name)]
        known = [name for name in changed if not isinstance(_news.get(name), pulumi.output.Unknown)]
        replaces = [name for name in known if name in self.replacing]
        is_changed = bool(changed) or self.is_renamed(_olds, _news)
        return DiffResult(changes=is_changed, replaces=replaces, delete_before_replace=True)

    def create(self, props: Props) -> CreateResult:
        """Make what is declared, or take it over where it is there already."""
        inputs = self.read_inputs(props)
        outputs = self.ensure(inputs, {})
        return CreateResult(self.identify(inputs, outputs), {**props, **outputs})

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Bring it to what is declared."""
        return UpdateResult({**_news, **self.ensure(self.read_inputs(_news), _olds)})

    # --- for subclasses -----------------------------------------------------------------------------------------------

    def read_inputs(self, props: Props) -> I:
        """Return properties as the inputs that they were."""
        inputs: I = read(self.inputs, props)
        return inputs

    @staticmethod
    def is_renamed(olds: Props, news: Props) -> bool:
        """Tell whether the state has the provider under another name; an update writes the new one."""
        return bool(olds.get("__provider") != news.get("__provider"))

    def read_result(self, id_: str, props: Props) -> ReadResult:
        """Return what a refresh found, as inputs too: `check` then compares the program with what is really there."""
        inputs = {name: value for name, value in props.items() if name not in (*self.outputs, "__provider")}
        return ReadResult(id_, props, inputs)
