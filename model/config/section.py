"""What every part of a configuration is made of."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from kinestream.model.printable import printable

LONGEST_NAME = 255
"""Characters in a name that is given to a channel, a class, a person."""


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME:
        raise ValueError(f"should have at most {LONGEST_NAME} characters")
    if printable(text) != text:
        raise ValueError("should be free of control characters")
    return text


Name = Annotated[str, AfterValidator(_name)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]
Amount = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Names = tuple[Name, ...]


class Section(BaseModel):
    """A part of a configuration: no unknown keys, no changes once it is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def doubled(names: Iterable[str]) -> list[str]:
    """Return the names that are given more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def contradiction(key: str, text: str) -> PydanticCustomError:
    """Return what a section raises when `key` does not go with its other keys."""
    return PydanticCustomError("contradiction", "{text}", {"key": key, "text": text})
