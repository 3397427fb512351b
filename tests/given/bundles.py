"""Bundles with random weights: real networks, real engines, nothing learnt."""

from collections.abc import Sequence

import numpy as np
from pydantic import TypeAdapter

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.bundle.description import ChannelEntry, Description, WindowEntry
from kinestream.model.config.network import NETWORK_PRESETS, AnyNetwork
from kinestream.model.recordings.recording import Channel


def random_bundle(
    channels: Sequence[Channel] | int = 3,
    classes: int = 4,
    *,
    length: int = 8,
    stride: int = 4,
    max_missing: float = 0.25,
    rate_hz: float = 50.0,
    seed: int = 0,
    **network: object,
) -> Bundle:
    """Return a bundle of a small random network, `network` overriding its knobs."""
    import torch

    from kinestream.model.network.make import make_network

    named = [Channel(f"c{i}") for i in range(channels)] if isinstance(channels, int) else list(channels)
    config = TypeAdapter(AnyNetwork).validate_python(
        network if "kind" in network else {"hidden": 8, "cells": 2, "blocks": 2, **network}
    )
    torch.manual_seed(seed)
    net = make_network(config, len(named), classes, length)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        for name, running in net.named_buffers():
            running.add_(torch.rand_like(running) if name.endswith("var") else torch.randn_like(running))
    rng = np.random.default_rng(seed)
    description = Description(
        format=1,
        name="random",
        rate_hz=rate_hz,
        window=WindowEntry(length=length, stride=stride, max_missing=max_missing),
        channels=tuple(
            ChannelEntry(name=c.name, unit=c.unit, mean=float(rng.normal()), deviation=float(rng.uniform(0.5, 2)))
            for c in named
        ),
        classes=tuple(f"class{i}" for i in range(classes)),
        scaled_deviation=0.5,
        network=config,
    )
    return Bundle(description, {name: value.numpy() for name, value in net.state_dict().items()})


def reference_knobs() -> dict[str, object]:
    """Return the knobs of the published network, small."""
    return {**NETWORK_PRESETS["reference"], "hidden": 8}


SMALL_NETWORKS: dict[str, dict[str, object]] = {
    "plain": {},
    "stem": {"stem_kernel": 3, "stem_stride": 2},
    "detail": {"detail": 5.0, "hidden": 14},  # as many features as inputs would be added to them
    "stem and detail": {"stem_kernel": 3, "detail": 5.0, "residual": "identity"},
    "one way": {"bidirectional": False, "residual": "identity", "readout": "mean_last"},
    "reference": reference_knobs(),
    "deepconvlstm": {"kind": "deepconvlstm", "convolutions": 2, "filters": 4, "kernel": 3, "hidden": 8},
    "lstm": {"kind": "lstm", "hidden": 8},
}
"""Knobs of a small network of each kind, by what sets it apart."""
