"""The base of what a stack's settings hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = ["Model"]


class Model(BaseModel):
    """A part of the settings: spelled in camelCase there, nothing unknown taken, no value shown in an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )
