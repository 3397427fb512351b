"""Which sources a rig needs."""

from kinestream.streamer.bridges.bridge import Source
from kinestream.streamer.bridges.lines import line_sources
from kinestream.streamer.bridges.rig import Rig


def sources_of(rig: Rig) -> list[Source]:
    """Return where a rig's devices come from, and where its labels go besides.

    Raises
    ------
    MissingExtra
        Where a package is needed that is not installed.
    """
    sources: list[Source] = [*line_sources(dict(rig.of_kind("csv")))]
    lsl = dict(rig.of_kind("lsl"))
    if lsl or rig.lsl_labels:
        from kinestream.streamer.bridges.lsl import LslLabels, LslSource

        sources += [LslSource(name, device) for name, device in lsl.items()]
        if rig.lsl_labels:
            sources.append(LslLabels(rig.lsl_labels, rig.stream))
    if web := dict(rig.of_kind("web")):
        from kinestream.streamer.bridges.web.source import WebSource

        sources.append(WebSource(rig.server, web, rig.stream))
    return sources
