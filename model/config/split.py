"""Who is trained, validated and tested on, as a configuration says it.

`kinestream.model.recordings.split` does the dividing.
"""

from itertools import combinations
from typing import Any, Literal, Self

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from kinestream.model.config.section import Names, Positive, Section, Share, contradiction


class SplitSection(Section):
    """Who is tested and validated on; all others are trained on, or those who are named.

    Attributes
    ----------
    test : tuple of str or "published"
        People, or recordings by id; or the split the dataset was published with. Without it,
        nobody is tested on.
    validation : tuple of str or int
        People, or recordings by id; or how many people to draw by the seed. With none, every epoch is trained and the
        last one kept.
    leave_out : tuple of str or "published"
        People, or recordings by id, who are for nothing here; or those whom the dataset was published to be tested on.
        A choice made by what is tested on is made without them.
    train : tuple of str
        People, or recordings by id, to train on, without those named above; without any, all others. It leaves nobody
        to draw for validation.
    train_minutes : float or None
        Only so many labelled minutes are trained on, as somebody has who recorded a little of each activity: those that
        come first of each class, shared out evenly; what a class has too few of, the others have more of. The labels of
        the rest are ignored. None trains on all there are.
    leave_out_share : float
        Where a dataset has too few people to set some apart: how much of every recording, at its end, is left out. No
        window spans a cut.
    test_share : float
        How much of the rest of every recording, at its end, is tested on.
    validation_share : float
        How much of what then is left of those trained on, at the end of each recording, is validated on.
    """

    test: Literal["published"] | Names = ()
    validation: int | Names = ()
    leave_out: Literal["published"] | Names = ()
    leave_out_share: Share = 0.0
    test_share: Share = 0.0
    validation_share: Share = 0.0
    train: Names = ()
    train_minutes: Positive | None = None

    @field_validator("test", "validation", "leave_out", "train", mode="before")
    @classmethod
    def _people(cls, value: Any, info: Any) -> Any:
        # One message of our own, and people whose name is a number, which YAML does not read as text.
        if isinstance(value, list) and all(isinstance(name, str | int) for name in value):
            return tuple(str(name) for name in value)
        if isinstance(value, tuple):
            return value
        if info.field_name == "train":
            raise ValueError("should be a list of people or recordings")
        if info.field_name != "validation":
            if value != "published":
                raise ValueError("should be a list of people or recordings, or 'published'")
        elif type(value) is not int or value < 0:
            raise ValueError("should be a list of people or recordings, or how many people to draw")
        return value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.test == "published" == self.leave_out:
            raise contradiction("test", "'published' is left out already: name people")
        named = {key: getattr(self, key) for key in ("leave_out", "test", "validation", "train")}
        for (key, some), (other, others) in combinations(reversed(named.items()), 2):
            if isinstance(some, tuple) and isinstance(others, tuple) and (both := sorted(set(some) & set(others))):
                raise contradiction(key, f"{', '.join(both)} also in split.{other}: name each in one of them")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not {"validation", "validation_share"} & self.model_fields_set:
            raise contradiction("validation", "missing: name people, say how many to draw, or give validation_share")
        if self.train and isinstance(self.validation, int) and self.validation:
            raise contradiction("validation", "nobody is left to be drawn where split.train names people: name them")
        for by_name in ("leave_out", "test", "validation"):
            if getattr(self, by_name) and getattr(self, f"{by_name}_share"):
                raise contradiction(f"{by_name}_share", f"people are named in split.{by_name}: give one of the two")
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Written as before there was a choice of whom to train on: runs and bundles stay what they were.
        content: dict[str, Any] = written(self)
        new = {"train": (), "train_minutes": None}
        return {key: value for key, value in content.items() if key not in new or getattr(self, key) != new[key]}
