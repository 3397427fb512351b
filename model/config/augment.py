"""How training windows may be changed: the ``train.augment`` section of a configuration."""

from typing import Annotated

from pydantic import Field

from kinestream.model.config.section import Names, NotNegative, Section, Share


class AugmentSection(Section):
    """How training windows are changed, each time anew; see `model.training.augment`.

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
    """

    rotate: dict[str, Annotated[float, Field(ge=0.0, le=180.0)]] = Field(default={})
    half_turns: Names = ()
    scale: NotNegative = 0.0
    noise: NotNegative = 0.0
    stretch: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    drop_sensor: Share = 0.0
