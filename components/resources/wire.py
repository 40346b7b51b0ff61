"""Inputs of resources, which are dataclasses, as properties of Pulumi, and back.

A property has its field's name. What is None does not travel, numbers come back as floats, and what is not known yet at
preview comes as an Unknown: it is read as None.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from components.logs import Log
from components.tables import Sharding

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulumi import Input as Given
else:

    class Given:
        """An input that may be another resource's output; a provider reads it as what that output holds."""

        def __class_getitem__(cls, item: Any) -> Any:
            """Return the type of the value."""
            return item


__all__ = ["Given", "Props", "known", "read", "write"]

Props = dict[str, Any]
"""Properties as Pulumi hands them over."""
T = TypeVar("T")


def write(value: Any) -> Any:
    """Return a value as a property; what is no dataclass, tuple, list or mapping stays as it is, as outputs do."""
    if isinstance(value, Log):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: write(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **named} if isinstance(value, Sharding) else named
    if isinstance(value, tuple | list):
        return [write(item) for item in value]
    if isinstance(value, dict):
        return {key: write(item) for key, item in value.items()}
    return value


def known(value: Given[T]) -> T:
    """Return what an input holds: in a provider, all outputs are known."""
    return cast("T", value)


def read(kind: type[T], props: Props) -> T:
    """Return the dataclass that `write` made properties of; a required field of which there is nothing is None."""
    hints = _hints(cast("Any", kind))
    given = {
        field.name: _read(hints[field.name], props.get(field.name))
        for field in fields(cast("Any", kind))
        if props.get(field.name) is not None or (field.default is MISSING and field.default_factory is MISSING)
    }
    return kind(**given)


_SCALARS: Final[dict[Any, Callable[[Any], Any]]] = {int: int, Log: Log.parse}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(hint: Any, value: Any) -> Any:
    if value is None or type(value).__name__ == "Unknown":
        return None
    arguments = [argument for argument in get_args(hint) if argument is not type(None)]
    if len(arguments) == 1 and len(get_args(hint)) > 1:  # X | None
        return _read(arguments[0], value)
    if get_origin(hint) is UnionType:
        return read({kind.__name__: kind for kind in arguments}[value["kind"]], value)
    if get_origin(hint) is tuple:
        return tuple(_read(arguments[0], item) for item in value)
    if get_origin(hint) is dict:
        return {key: _read(arguments[1], item) for key, item in value.items()}
    whole = partial(read, cast("type[Any]", hint)) if is_dataclass(hint) else lambda it: it
    return _SCALARS.get(hint, whole)(value)
