"""Within what the readings of a sensor lay that a bundle was trained on; noted at training, and kept in the bundle."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from kinestream.model.config.section import Names, Section, contradiction


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("should give the lower bound first")
    return bounds


Bounds = Annotated[tuple[float, float], AfterValidator(_ascending)]


class SensorRange(Section):
    """Bounds of a sensor's windows, beyond which they lie far outside what a bundle was trained on.

    Attributes
    ----------
    channels : tuple of str
        The sensor's channels: those of a bundle that differ in an x, y or z at their end alone.
    means : tuple of (float, float)
        Of each channel's mean over a window, in its unit.
    size : (float, float)
        Of the length of the vector of these means: of an accelerometer nearly always gravity's.
    spread : (float, float)
        Of the root of the mean square of how far readings lie from these means.
    """

    channels: Names = Field(min_length=1)
    means: tuple[Bounds, ...]
    size: Bounds
    spread: Bounds

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.means) != len(self.channels):
            raise contradiction("means", f"there are {len(self.means)} for {len(self.channels)} channels")
        return self
