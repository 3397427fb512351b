"""What activities are worth beside the labels they are made of, and what they cost in delay.

``python -m tests.activities.table --data FOLDER --work runs --out results/activities`` trains what is not trained yet
in ``runs`` (three networks on each of three datasets, some 20 minutes of one core), sets the activities on the people
validated on, as `kinestream train` does, and scores labels and activities on those tested on.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kinestream.model.activity.line import ActivityScores
from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.comparison.protocol import Run, load_protocol
from kinestream.model.config.activity import ActivitySection
from kinestream.model.datasets import Recording, open_dataset
from kinestream.model.datasets.split import read_split
from kinestream.model.evaluation.evaluate import evaluate_recordings
from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.recordings.split import Split
from kinestream.model.scores.delay import Delays
from kinestream.model.scores.events import Events
from kinestream.model.training.activities import fit_activities
from kinestream.model.training.familiar import features_of
from kinestream.model.windows.familiar import Familiar
from tests.activities.moving import fit_averaging, scored

PROTOCOLS = {"sp_sw_har": "sp-sw-har-dataset.zip", "hapt12": "HAPT Data Set.zip", "actrectut_time": "ActRecTut.zip"}
NAMES = {
    "sp_sw_har": "sp-sw-har, five people",
    "hapt12": "HAPT with transitions, nine people",
    "actrectut_time": "ActRecTut gestures, later part",
}
_FREE_FALL = 9.80665
_ABOUT = " ".join(
    """\
Networks of each dataset as in the protocols of [the results](../README.md), trained from the seeds told below;
figures are means over them with the deviation. How labels become activities was set on the people validated on
(of ActRecTut, on an earlier time of the same people), as `kinestream train` does; people tested on decided
nothing. Events are those of Ward et al. (ACM TIST 2(1):6, 2011): one is correct that meets one returned event,
which meets no other. The delay is from the first sample of an activity until it is told; missed live is what
is over before. Averages are the plain alternative: a window's probabilities are averaged with those around it,
set in the same way. Made by `python -m tests.activities.table`.
""".split()
)
_ABOUT_STRANGE = " ".join(
    """\
The share of windows that lie beyond the bounds noted at training, which were widened until at most one in a thousand of
the people validated on does. A streamer looks at one every ten seconds and tells of a sensor after two in a row.
Seed 0.""".split()
)
_HALF_TURNS = {"about x": (1, -1, -1), "about y": (-1, 1, -1), "about z": (-1, -1, 1)}


@dataclass(frozen=True)
class Trained:
    """A bundle, and whose recordings are for what."""

    run: Run
    bundle: Bundle
    split: Split
    task: str

    def with_rules(self, rules: ActivitySection | None) -> "Trained":
        """Return the same whose labels become activities so."""
        about = self.bundle.description.model_copy(update={"activities": rules})
        return replace(self, bundle=Bundle(about, self.bundle.weights))

    def evaluated(self, part: str) -> Evaluation:
        """Return what the bundle makes of the recordings of a part."""
        recordings = getattr(self.split, part)
        return evaluate_recordings(self.bundle, recordings, task=self.task, chosen=part, device="cpu")


def train_all(protocol: str, data: Path, work: Path, seeds: Sequence[int]) -> list[Trained]:
    """Train ours on a protocol, or read what is trained already."""
    from kinestream.model.training.train import train

    found = []
    for run in load_protocol(protocol).runs:
        if run.contender != "kinestream" or run.seed not in seeds:
            continue
        dataset = run.config.dataset.model_copy(update={"source": str(data / PROTOCOLS[protocol])})
        config = run.config.model_copy(update={"dataset": dataset})
        result = train(config, work / run.protocol / run.key, device="cpu", page=False)
        source = open_dataset(dataset)
        found.append(Trained(run, read_bundle(result.bundle), read_split(source, config.split, run.seed), source.task))
    return found


def compare(trained: Trained) -> dict[str, Any]:
    """Return what labels, activities and averages are worth on the people tested on."""
    validated = trained.evaluated("validation")
    trained = trained.with_rules(fit_activities(trained.bundle, validated.recordings))  # an older run may have others
    tested = trained.evaluated("test")
    assert tested.timeline is not None
    assert tested.activities is not None
    averaging = fit_averaging(trained.bundle, validated.recordings)
    averaged = scored(trained.bundle, averaging, tested.recordings)
    settings = trained.bundle.description.activities
    assert settings is not None
    stride_s = trained.bundle.grid.stride / trained.bundle.description.rate_hz
    return {
        "seed": trained.run.seed,
        "labels": _figures(tested.timeline.events, tested.timeline.delay, 0.0),
        "activities": _activity_figures(tested.activities),
        "averages": _activity_figures(averaged),
        "settings": settings.model_dump(mode="json"),
        "averaging": averaging.model_dump(mode="json", include={"lag", "least"}),
        "stride_s": stride_s,
    }


def _activity_figures(scores: ActivityScores) -> dict[str, float]:
    return _figures(scores.events, scores.delay, scores.uncertain_share)


def _figures(events: Events, delay: Delays, uncertain: float) -> dict[str, float]:
    counts = events.total.events
    return {
        "f1": counts.f1 or 0.0,
        "truth": counts.truth,
        "returned": counts.returned,
        "correct": counts.correct,
        "inserted": counts.inserted,
        "deleted": counts.deleted,
        "median_s": delay.overall.median_s or 0.0,
        "p90_s": delay.overall.p90_s or 0.0,
        "missed": delay.overall.missed / delay.overall.events,
        "uncertain": uncertain,
    }


def strangeness(trained: Trained) -> dict[str, float]:
    """Return which share of windows is strange, of the people validated and tested on, and of what is made of these."""
    shares = {
        "people validated on": _share(trained.bundle, trained.split.validation),
        "people tested on": _share(trained.bundle, trained.split.test),
    }
    units = {channel.unit for channel in trained.bundle.channels if "acc" in channel.name}
    by = _FREE_FALL if units == {"g"} else 1 / _FREE_FALL
    other = "m/s2 instead of g" if units == {"g"} else "g instead of m/s2"
    changed = {
        other: lambda name: by if "acc" in name else 1.0,
        "degrees instead of radians": lambda name: 57.2958 if "gyr" in name else 1.0,
    }
    for what, factor in changed.items():
        shares[what] = _share(trained.bundle, [_scaled(each, factor) for each in trained.split.test])
    for device in _devices(trained.bundle):
        for how, signs in _HALF_TURNS.items():
            turned = [_turned(each, device, signs) for each in trained.split.test]
            shares[f"{device or 'the device'} turned by half {how}"] = _share(trained.bundle, turned)
    return shares


def _devices(bundle: Bundle) -> list[str]:
    """Return what the names of each device's channels begin with."""
    first = [channel.name.split("_")[0] for channel in bundle.channels]
    return [""] if any(name in ("acc", "gyro") for name in first) else list(dict.fromkeys(first))


def _share(bundle: Bundle, recordings: Sequence[Recording]) -> float:
    familiar = Familiar(bundle.description.familiar, bundle.channels)
    return float(familiar.beyond(features_of(bundle, recordings)).any(axis=1).mean())


def _scaled(recording: Recording, factor: Any) -> Recording:
    factors = np.array([factor(channel.name) for channel in recording.channels], np.float32)
    return replace(recording, samples=recording.samples * factors)


def _turned(recording: Recording, device: str, signs: Sequence[int]) -> Recording:
    factors = np.ones(len(recording.channels), np.float32)
    for column, channel in enumerate(recording.channels):
        if channel.name.startswith(device) and channel.name[-1] in "xyz":
            factors[column] = signs["xyz".index(channel.name[-1])]
    return replace(recording, samples=recording.samples * factors)


def _mean(entries: Sequence[dict[str, Any]], kind: str, key: str) -> tuple[float, float]:
    values = [entry[kind][key] for entry in entries]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def as_page(report: dict[str, Any]) -> str:
    """Return the table for people to read, as Markdown."""
    lines = [
        "# Activities beside the labels they are made of",
        "",
        _ABOUT,
        "",
        "| | | event F1 | correct | inserted | deleted | delay, median | 90 % within | missed live | uncertain |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for protocol, entries in report["protocols"].items():
        for kind in ("labels", "averages", "activities"):
            f1, deviation = _mean(entries, kind, "f1")
            spread = f" ± {deviation:.3f}" if len(entries) > 1 else ""
            mean = {key: _mean(entries, kind, key)[0] for key in entries[0][kind]}
            lines.append(
                f"| {NAMES[protocol] if kind == 'labels' else ''} | {kind} | {f1:.3f}{spread} | "
                f"{mean['correct']:.0f} of {mean['truth']:.0f} | {mean['inserted']:.0f} | {mean['deleted']:.0f} | "
                f"{mean['median_s']:.2f} s | {mean['p90_s']:.2f} s | {mean['missed']:.1%} | {mean['uncertain']:.1%} |"
            )
    lines += ["", "What was set, seed by seed:", ""]
    for protocol, entries in report["protocols"].items():
        for entry in entries:
            rules = entry["settings"]
            lines.append(
                f"- {NAMES[protocol]}, seed {entry['seed']}: lag {rules['lag']} windows of {entry['stride_s']:.2f} s, "
                f"stay {rules['stay']:g}, sharpness {rules['sharpness']:g}, threshold {rules['threshold']:.2f}, least "
                f"{', '.join(map(str, rules['least']))} windows"
            )
    lines += [
        "",
        "## Readings unlike any that were trained on",
        "",
        _ABOUT_STRANGE,
        "",
        "| | strange |",
        "| --- | ---: |",
    ]
    for protocol, shares in report["strange"].items():
        lines.append(f"| **{NAMES[protocol]}** | |")
        lines += [f"| {what} | {share:.1%} |" for what, share in shares.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KINESTREAM_DATA", ".")))
    parser.add_argument("--work", type=Path, default=Path("runs/activities"))
    parser.add_argument("--protocols", nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    report: dict[str, Any] = {"protocols": {}, "strange": {}}
    for protocol in given.protocols:
        trained = train_all(protocol, given.data, given.work, given.seeds)
        report["protocols"][protocol] = [compare(each) for each in trained]
        report["strange"][protocol] = strangeness(trained[0])
    print(as_page(report))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "activities.json").write_text(json.dumps(report, indent=2) + "\n")
        (given.out / "README.md").write_text(as_page(report))


if __name__ == "__main__":
    main()
