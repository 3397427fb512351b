"""Plots of the bench are drawn of what the reports hold, at any time, in the style of every other page."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from PIL import Image

from kinestream.model.errors import FileError
from kinestream.model.report.colours import RIGHT
from kinestream.replay.bench.redraw import is_drawn, redraw, redraw_all

BENCH = Path(__file__).parents[3] / "results" / "bench"


@pytest.mark.skipif(not BENCH.is_dir(), reason="of the checkout: an sdist holds no results")
def test_every_plot_that_is_committed_can_be_drawn_of_its_report(tmp_path):
    drawn = {path.relative_to(BENCH) for path in BENCH.rglob("*.png")}
    assert len(drawn) > 6
    assert drawn == {
        report.relative_to(BENCH).with_suffix(".png") for report in BENCH.rglob("*.json") if is_drawn(report)
    }
    some = [Path("kinestream/engines.png"), Path("latency.png"), Path("streams-chunk-1.png")]  # of the oldest reports
    for name in some:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy((BENCH / name).with_suffix(".json"), (tmp_path / name).with_suffix(".json"))
    assert redraw_all(tmp_path) == [tmp_path / name for name in some]
    ours = tuple(int(RIGHT.hex[at : at + 2], 16) for at in (1, 3, 5))
    for name in (some[0], some[2]):  # in the other, each stage has a colour
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] == 1110
            colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
        assert {ours, (255, 255, 255)} <= colours, name


@pytest.mark.skipif(not BENCH.is_dir(), reason="of the checkout: an sdist holds no results")
def test_a_point_at_which_no_label_came_is_left_out(tmp_path):
    report = json.loads((BENCH / "streams-chunk-6.json").read_text())
    report["points"][-1]["heard"] |= {f"latency_{name}_ms": None for name in ("p50", "p90", "p99")}
    (tmp_path / "streams.json").write_text(json.dumps(report))
    assert redraw(tmp_path / "streams.json").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_report_is_told_in_a_line(tmp_path):
    with pytest.raises(FileError, match="holds no report that is drawn"):
        redraw_all(tmp_path)
    for content in ("{}", "[1]", "{", '{"figures": [{"engine": 1}]}'):
        (tmp_path / "engines.json").write_text(content)
        with pytest.raises(FileError, match=r"engines\.json is no report of a bench: .+"):
            redraw_all(tmp_path)
    shutil.copy(__file__, tmp_path / "train.json")
    assert redraw(tmp_path / "train.json") is None
