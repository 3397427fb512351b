"""Writes small recordings whose classes are easy to tell apart, in HAPT's published layout, to train on in seconds."""

from pathlib import Path

import numpy as np

CLASSES = ("WALKING", "SITTING", "LAYING")
NUMBERS = {"WALKING": 1, "SITTING": 4, "LAYING": 6}  # HAPT's own
SECONDS = 4  # of one activity
RATE = 50


def write_hapt(folder: Path, people: int = 8, rounds: int = 2) -> Path:
    """Write one recording a person: the three activities in turn, each followed by half a second without a label.

    Person 2 is tested on by the published split, as person 4; a packet is lost in every recording of an even person.
    """
    raw = folder / "RawData"
    raw.mkdir(parents=True)
    segments = []
    for person in range(1, people + 1):
        rng = np.random.default_rng(person)
        parts, at = [], 0
        for name in CLASSES * rounds:
            samples = _activity(name, rng)
            segments.append((person, person, NUMBERS[name], at + 1, at + SECONDS * RATE))
            parts.append(samples)
            at += len(samples)
        signal = np.concatenate(parts)
        if person % 2 == 0:
            signal[70:74] = np.nan
        for name, columns in (("acc", slice(0, 3)), ("gyro", slice(3, 6))):
            np.savetxt(raw / f"{name}_exp{person:02}_user{person:02}.txt", signal[:, columns], fmt="%.5f")
    np.savetxt(raw / "labels.txt", segments, fmt="%d")
    return folder


def _activity(name: str, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(SECONDS * RATE + RATE // 2) / RATE
    signal = rng.normal(0, 0.1, (len(time), 6))
    if name == "LAYING":
        signal[:, 2] += 1
    else:
        signal[:, 0] += 1
    if name == "WALKING":
        signal[:, 0] += np.sin(2 * np.pi * (2 * time + rng.random()))
        signal[:, 4] += np.cos(2 * np.pi * (2 * time + rng.random()))
    return signal
