"""How training windows may be changed: the ``train.augment`` section of a configuration."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from kinestream.model.config.section import Names, NotNegative, Section, Share


class AugmentSection(Section):
    """How training windows are changed, each time anew.

    Attributes
    ----------
    rotate : dict of str to float
        By how many degrees at most the axes of a device turn, about any axis. A device is named by what its channels'
        names begin with.
    half_turns : tuple of str
        Devices that are also turned by half a turn about one of their axes, or by none: a phone goes into a pocket
        in four ways.
    scale : float
        Deviation of a factor around 1 for the whole window.
    noise : float
        Deviation of what is added to each scaled value.
    stretch : float
        Deviation of a factor around 1 by which time runs faster or slower; the window's last sample stays.
    drop_sensor : float
        How often, as a share, a triple of axes is silenced for the whole window.
    drop_device : dict of str to float
        How often, as a share, a device is absent from the whole window, as a silent one is from a live window; never
        all of them at once. Each is named as for `rotate`. A network that has seen this still works when one dies.
    """

    rotate: dict[str, Annotated[float, Field(ge=0.0, le=180.0)]] = Field(default={})
    half_turns: Names = ()
    scale: NotNegative = 0.0
    noise: NotNegative = 0.0
    stretch: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    drop_sensor: Share = 0.0
    drop_device: dict[str, Share] = Field(default={})

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What drops no device is written as before devices were dropped: runs and bundles stay what they were.
        content: dict[str, Any] = written(self)
        return content if self.drop_device else {key: each for key, each in content.items() if key != "drop_device"}
