"""A source is recognised by what it holds, wherever and however it is kept; wrong ones end in one line."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import dataset_infos, open_source
from kinestream.model.datasets.source import find_download, info_named
from kinestream.model.errors import SourceError
from tests.given.published import write_opportunity, write_uci_har

RUNS = ["S1-ADL1", "S2-ADL4", "S4-Drill"]


@pytest.mark.parametrize("top", ["OpportunityUCIDataset/dataset/", "dataset/", "", "a/b/c/"])
@pytest.mark.parametrize("kind", ["renamed.zip", "folder"])
def test_layout_is_recognised_from_contents(tmp_path: Path, top: str, kind: str) -> None:
    source = open_source(write_opportunity(tmp_path / kind, runs=RUNS, top=top))
    assert source.info.name == "opportunity"
    assert source.ids == tuple(RUNS)


def test_folder_parent_and_text_path(tmp_path: Path) -> None:
    write_uci_har(tmp_path / "somewhere")
    for path in (tmp_path, tmp_path / "somewhere", tmp_path / "somewhere" / "UCI HAR Dataset"):
        assert open_source(str(path)).info.name == "uci_har"


def test_zip_in_zip_gives_the_same_recordings(tmp_path: Path) -> None:
    plain = open_source(write_uci_har(tmp_path / "plain.zip"))
    nested = open_source(write_uci_har(tmp_path / "nested.zip", nested=True))
    unpacked = open_source(write_uci_har(tmp_path / "unpacked", nested=True))
    assert plain.ids == nested.ids == unpacked.ids
    for recording in plain.recordings():
        np.testing.assert_array_equal(recording.samples, nested.read(recording.id).samples)


def test_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINESTREAM_DATA", str(tmp_path))
    write_opportunity(tmp_path / "opportunity" / "only_the_description", runs=[])
    with pytest.raises(SourceError, match="kinestream datasets fetch opportunity"):
        open_source("opportunity")
    write_opportunity(tmp_path / "OpportunityUCIDataset", runs=RUNS, top="dataset/")
    assert open_source("opportunity").path == tmp_path / "OpportunityUCIDataset"
    downloads = Path(os.environ["XDG_DATA_HOME"]) / "kinestream"
    downloads.mkdir()
    try:
        write_opportunity(downloads / "OpportunityUCIDataset.zip", runs=RUNS)
        assert find_download(info_named("opportunity")) == downloads / "OpportunityUCIDataset.zip"
    finally:
        shutil.rmtree(downloads)


def test_the_dataset_that_a_configuration_names(tmp_path: Path) -> None:
    path = write_opportunity(tmp_path / "o.zip", runs=RUNS)
    config = tmp_path / "config.yaml"
    config.write_text(f"dataset: {{name: opportunity, source: {path}, task: locomotion}}\ntrain: whatever\n")
    assert open_source(config).task == "locomotion"
    assert open_source(config, task="gestures").task == "gestures"


def test_recordings_keep_the_order_asked_for(tmp_path: Path) -> None:
    source = open_source(write_opportunity(tmp_path / "o.zip"))
    wanted = list(reversed(source.ids))
    assert [recording.id for recording in source.recordings(wanted)] == wanted
    assert [recording.id for recording in source.recordings()] == list(source.ids)
    first = next(source.recordings())  # a caller may stop early
    assert first.id == source.ids[0]


def test_arrays_are_contiguous_and_read_only(tmp_path: Path) -> None:
    path = write_opportunity(tmp_path / "o.zip", runs=RUNS)
    for _ in ("parsed", "from the cache"):
        recording = open_source(path).read("S1-ADL1")
        assert recording.samples.dtype == np.float32
        assert recording.timestamps.dtype == np.int64
        assert recording.labels.dtype == np.int16
        for array in (recording.samples, recording.timestamps, recording.labels):
            assert array.flags.c_contiguous
            assert not array.flags.writeable


def test_unknown_recording_task_and_dataset(tmp_path: Path) -> None:
    path = write_opportunity(tmp_path / "o.zip", runs=RUNS)
    with pytest.raises(SourceError, match=r"no recording 'S1-ADL2'; did you mean S1-ADL1"):
        open_source(path).read("S1-ADL2")
    with pytest.raises(SourceError, match="no recording 'S1-ADL9'"):
        list(open_source(path).recordings(["S1-ADL1", "S1-ADL9"]))
    with pytest.raises(SourceError, match=r"no task 'gesture'; it has gestures, locomotion"):
        open_source(path, task="gesture")
    with pytest.raises(SourceError, match=r"did you mean hapt\?"):
        open_source("hept")


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no dataset that can be read; known are sp_sw_har, hapt"):
        open_source(tmp_path)
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("readme.txt", "nothing")
    with pytest.raises(SourceError, match=r"name one of its zips: a\.zip, b\.zip"):
        open_source(tmp_path)
    write_opportunity(tmp_path / "one", runs=RUNS)
    write_uci_har(tmp_path / "two")
    with pytest.raises(SourceError, match="holds several datasets, opportunity, uci_har"):
        open_source(tmp_path)


def test_infos_are_complete() -> None:
    assert [info.name for info in dataset_infos()] == ["sp_sw_har", "hapt", "actrectut", "opportunity", "uci_har"]
    for info in dataset_infos():
        assert info.url.startswith("https://")
        assert all((info.title, info.licence, info.citation, info.archive, info.tasks, info.published))


@pytest.mark.parametrize("name", ["walk.csv", "walk.PARQUET", "walk.mat", "walk.txt"])
def test_recordings_that_nothing_describes_are_told_how_to_be_described(tmp_path: Path, name: str) -> None:
    (tmp_path / "my data").mkdir()
    file = tmp_path / "my data" / name
    file.write_text("time,x\n1,2\n")
    draft = "draft a description with 'kinestream datasets describe {} --out mine.yaml', then name mine.yaml"
    with pytest.raises(SourceError) as caught:
        open_source(file)
    assert str(caught.value) == f"{file}: recordings that no YAML file describes: " + draft.format(f"'{file}'")
    with pytest.raises(SourceError) as caught:
        open_source(file.parent)
    assert f"holds no dataset that can be read; to read 1 file such as {name}, " in str(caught.value)
    assert str(caught.value).endswith(draft.format(f"'{file.parent}'"))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.write(file, name)
    with pytest.raises(SourceError, match=f"such as {name}, draft a description with 'kinestream datasets describe"):
        open_source(tmp_path / "packed.zip")


def test_a_folder_with_its_description_is_told_to_be_named_by_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x\n1,2\n")
    (tmp_path / "mine.yaml").write_text("dataset: {}\n")
    with pytest.raises(SourceError, match=r"if mine\.yaml describes its recordings, name that file: .*mine\.yaml$"):
        open_source(tmp_path)


def test_a_file_of_no_use_is_not_called_a_broken_zip(tmp_path: Path) -> None:
    for name in ("report.pdf", "noend"):
        (tmp_path / name).write_bytes(b"%PDF-1.4")
        with pytest.raises(
            SourceError, match="neither a zip, a folder nor a YAML file that describes recordings; known"
        ):
            open_source(tmp_path / name)
    (tmp_path / "half.zip").write_bytes(b"%PDF-1.4")
    (tmp_path / "half").write_bytes(b"PK\x03\x04")
    for name in ("half.zip", "half"):
        with pytest.raises(SourceError, match="not a whole zip file"):
            open_source(tmp_path / name)


@pytest.mark.parametrize("name", ["none.zip", "a/none.zip", "recordings"])
def test_what_is_not_there_says_what_to_give(name: str) -> None:
    with pytest.raises(SourceError, match="give the path of a zip, a folder or a YAML file, or a dataset that"):
        open_source(name)
