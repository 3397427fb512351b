"""How labels become activities; set on validation people when a bundle is trained, and kept in it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from kinestream.model.config.section import Count, Section, Share, contradiction


class ActivitySection(Section):
    """How the labels of a stream become activities.

    Attributes
    ----------
    lag : int
        Windows that are waited for before a window's class is decided.
    stay : float
        How probable it is that the next window is of the same class.
    sharpness : float
        The power to which a window's probabilities are taken: below 1 since windows that overlap repeat each other.
    least : tuple of int
        For how many windows an activity of each class lasts at least, shape (K,).
    threshold : float
        A window whose class is less probable than this, once it is smoothed, is uncertain.
    patience : int
        For how many windows an activity goes on while neither it nor another one is decided; then all is uncertain.
    longest_gap : int
        Windows without a label that an activity outlasts.
    """

    lag: Annotated[int, Field(ge=0, le=64)]
    stay: Annotated[float, Field(gt=0.0, lt=1.0)]
    sharpness: Annotated[float, Field(gt=0.0, le=4.0)]
    least: tuple[Count, ...] = Field(min_length=2)
    threshold: Share = 0.0
    patience: Count
    longest_gap: Annotated[int, Field(ge=0, le=100_000)]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.patience < max(self.least):
            raise contradiction(
                "patience", f"{self.patience} is less than an activity lasts at least ({max(self.least)})"
            )
        return self

    @classmethod
    def usual(cls, classes: int, length: int, stride: int) -> Self:
        """Return what suits most bundles of so many classes, for one that says nothing of it.

        Parameters
        ----------
        classes : int
            K.
        length, stride : int
            Of its windows, in samples.
        """
        overlapping = -(-length // stride)
        return cls(
            lag=min(overlapping, 2),
            stay=0.9,
            sharpness=round(1 / overlapping, 4),
            least=(min(overlapping, 2),) * classes,
            patience=2 * overlapping + 2,
            longest_gap=overlapping,
        )
