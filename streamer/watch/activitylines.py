"""Activities as lines, for people and as JSON."""

import json
from datetime import UTC, datetime

from kinestream.model.counted import format_seconds
from kinestream.model.printable import printable
from kinestream.streamer.client.activities import Activity


class ActivityLines:
    """Activities that start and end as lines, whose columns stand below one another: as wide as the widest name."""

    def __init__(self) -> None:
        self._stream = 0
        self._activity = 0

    def line(self, activity: Activity) -> str | None:
        """Return a line that says when, whose, which and for how long; None of one that is ongoing."""
        if activity.state == "ongoing":
            return None
        self._stream = max(self._stream, len(activity.stream))
        self._activity = max(self._activity, len(activity.activity))
        when = activity.begin if activity.state == "started" else activity.end
        moment = datetime.fromtimestamp(when / 1e9, UTC).isoformat(timespec="milliseconds")
        names = f"{activity.stream:<{self._stream}}  {activity.activity:<{self._activity}}"
        what = "started" if activity.state == "started" else f"ended after {format_seconds(activity.seconds)}"
        unusual = f"  (unusual: {'; '.join(activity.unusual)})" if activity.unusual else ""
        return printable(f"{moment}  {names}  {activity.p:.3f}  {what}{unusual}")


def activity_json(activity: Activity) -> str:
    """Return an activity as one line of JSON."""
    content = {"kind": "activity", **activity._asdict()}
    content["class"] = content.pop("class_index")
    return json.dumps(content, allow_nan=False)
