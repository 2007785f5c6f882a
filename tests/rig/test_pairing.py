"""Pairing of two cameras' files: by name, time, order and table; nothing is guessed."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from pydantic import ValidationError

from fuse2task.rig.pairing import Match, pair_files
from fuse2task.runtime.errors import RequestError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def ids(paired):
    return [frame.id for frame in paired.frames]


def test_two_forms_of_names_in_one_folder(tmp_path):
    touch(tmp_path, "FLIR_00012_RGB.jpg", "FLIR_00012_PreviewData.jpeg", "FLIR_2_RGB.jpg", "FLIR_2_PreviewData.jpeg")
    touch(tmp_path, "FLIR_2_notes.png")
    match = Match(infrared="FLIR_{id}_PreviewData.jpeg", visible="FLIR_{id}_RGB.jpg")
    paired = pair_files(tmp_path, tmp_path, match)
    assert ids(paired) == ["2", "00012"]
    assert paired.frames[0].infrared.name == "FLIR_2_PreviewData.jpeg"
    assert paired.frames[0].visible.name == "FLIR_2_RGB.jpg"


def test_folders_are_sequences_and_so_is_what_the_form_says(tmp_path):
    for name in ("drive 1/a", "drive 1/b", "drive 2/a"):
        touch(tmp_path / "ir", f"{name}.tif")
        touch(tmp_path / "vi", f"{name}.png")
    expected = [("drive 1", "a"), ("drive 1", "b"), ("drive 2", "a")]
    frames = pair_files(tmp_path / "ir", tmp_path / "vi", Match()).frames
    assert [(frame.sequence, frame.name) for frame in frames] == expected
    assert frames[0].id == "drive 1__a"
    for camera, folder in (("ir", "thermal"), ("vi", "rgb")):
        for sequence, name in expected:
            touch(tmp_path / "bags", f"{sequence}/{folder}/{camera}_{name}.png")
    match = Match(infrared="{sequence}/thermal/ir_{id}.png", visible="{sequence}/rgb/vi_{id}")
    frames = pair_files(tmp_path / "bags", tmp_path / "bags", match).frames
    assert [(frame.sequence, frame.name) for frame in frames] == expected


def test_everything_without_partner_is_in_one_list_or_dropped(tmp_path):
    touch(tmp_path / "ir", "a.png", "b.png", "c.png")
    touch(tmp_path / "vi", "b.jpg", "c.jpg", "d.jpg")
    with pytest.raises(RequestError) as error:
        pair_files(tmp_path / "ir", tmp_path / "vi", Match())
    assert "ir/a.png: no visible" in str(error.value)
    assert "vi/d.jpg: no infrared" in str(error.value)
    paired = pair_files(tmp_path / "ir", tmp_path / "vi", Match(unmatched="drop"))
    assert ids(paired) == ["b", "c"]
    assert [path.name for path in paired.dropped["infrared"]] == ["a.png"]
    assert [path.name for path in paired.dropped["visible"]] == ["d.jpg"]


def test_a_file_that_fits_both_cameras_is_refused(tmp_path):
    touch(tmp_path, "1_ir.png", "1.png")
    with pytest.raises(RequestError, match=r"1_ir.png: fits both cameras"):
        pair_files(tmp_path, tmp_path, Match(infrared="{id}_ir", visible="{id}", unmatched="drop"))


def test_unsafe_and_equal_ids_are_refused(tmp_path):
    touch(tmp_path / "ir", "A1.png", "a2.png")
    touch(tmp_path / "vi", "A1.png", "a2.png")
    (tmp_path / "pairs.csv").write_text("infrared,visible,id\nA1.png,A1.png,x\na2.png,a2.png,X\n")
    with pytest.raises(RequestError, match="same id 'X'"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="table", table=str(tmp_path / "pairs.csv")))
    (tmp_path / "pairs.csv").write_text("infrared,visible,id\nA1.png,A1.png,../x\n")
    with pytest.raises(RequestError, match="cannot be an id"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="table", table=str(tmp_path / "pairs.csv")))


def named_by_time(folder, times, form="{:.6f}"):
    return touch(folder, *(f"t{form.format(time)}.png" for time in times))


BY_TIME = {"by": "time", "clock": "name", "infrared": "t{time}", "visible": "t{time}"}


def test_nearest_in_time_one_to_one(tmp_path):
    named_by_time(tmp_path / "ir", [0.0, 0.110, 0.222])
    named_by_time(tmp_path / "vi", [0.001, 0.034, 0.067, 0.101, 0.134, 0.167, 0.201, 0.234])
    match = Match(**BY_TIME, unmatched="drop", tolerance=0.017)
    paired = pair_files(tmp_path / "ir", tmp_path / "vi", match)
    assert [frame.visible.name for frame in paired.frames] == ["t0.001000.png", "t0.101000.png", "t0.234000.png"]
    assert [frame.apart for frame in paired.frames] == [-0.001, 0.009, -0.012]
    assert len(paired.dropped["visible"]) == 5
    early = pair_files(tmp_path / "ir", tmp_path / "vi", match.model_copy(update={"offset": 0.021}))
    assert [frame.visible.name for frame in early.frames][-1] == "t0.201000.png"


def test_equal_stamps_and_equal_distances_are_ambiguous(tmp_path):
    named_by_time(tmp_path / "ir", [1.0])
    named_by_time(tmp_path / "vi", [0.99, 1.01])
    with pytest.raises(RequestError, match="equally near"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(**BY_TIME, unmatched="drop"))
    touch(tmp_path / "ir", "t1.0.png")
    with pytest.raises(RequestError, match="the same time stamp"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(**BY_TIME, unmatched="drop", tolerance=0.001))


@settings(max_examples=25)
@given(st.data())
def test_time_pairs_are_what_shuffling_and_jitter_made(tmp_path_factory, data):
    """Frames of two cameras a period apart, some lost, some late by less than the tolerance."""
    folder = tmp_path_factory.mktemp("rig")
    count = data.draw(st.integers(1, 12))
    late = data.draw(st.lists(st.integers(-40, 40), min_size=count, max_size=count))
    kept = [data.draw(st.sampled_from(["both", "infrared", "visible"])) for _ in range(count)]
    kept[data.draw(st.integers(0, count - 1))] = "both"
    touch(folder / "ir", *(f"{n * 100}.png" for n in range(count) if kept[n] != "visible"))
    touch(folder / "vi", *(f"{n * 100 + late[n] + 1000}.png" for n in range(count) if kept[n] != "infrared"))
    match = Match(by="time", clock="name", infrared="{time}", visible="{time}", format="milliseconds",
                  tolerance=0.0405, offset=-1.0, unmatched="drop")  # fmt: skip
    paired = pair_files(folder / "ir", folder / "vi", match)
    expected = [(f"{n * 100}", f"{n * 100 + late[n] + 1000}") for n in range(count) if kept[n] == "both"]
    assert [(frame.infrared.stem, frame.visible.stem) for frame in paired.frames] == expected


def photo(path, time, camera_writes_fractions=True):
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = time.strftime("%Y:%m:%d %H:%M:%S")
    if camera_writes_fractions:
        details[ExifTags.Base.SubsecTimeOriginal] = f"{time.microsecond // 1000:03d}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path, exif=exif)


def test_time_of_recording_in_exif(tmp_path):
    start = datetime(2026, 5, 1, 12, 0, 0)
    for number in range(3):
        photo(tmp_path / "ir" / f"i{number}.jpg", start + timedelta(seconds=number * 0.5))
        photo(tmp_path / "vi" / f"v{2 - number}.jpg", start + timedelta(seconds=number * 0.5 + 0.01))
    paired = pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="time", ids="visible"))
    assert [(frame.infrared.stem, frame.visible.stem) for frame in paired.frames] == [
        ("i2", "v0"), ("i1", "v1"), ("i0", "v2"),
    ]  # fmt: skip
    assert ids(paired) == ["v0", "v1", "v2"]
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "ir" / "none.jpg")
    with pytest.raises(RequestError, match=r"none.jpg: no time of recording"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="time"))


def test_times_from_tables(tmp_path):
    touch(tmp_path / "ir", "a/1.png", "a/2.png")
    touch(tmp_path / "vi", "a/x.png", "a/y.png")
    (tmp_path / "ir.csv").write_text("file,time\na/1.png,20260501_120000_250\na/2.png,20260501_120001_000\n")
    (tmp_path / "vi.csv").write_text("file,time\na/x.png,20260501_120001_001\na/y.png,20260501_120000_251\n")
    times = {"infrared": str(tmp_path / "ir.csv"), "visible": str(tmp_path / "vi.csv")}
    match = Match(by="time", clock="table", format="%Y%m%d_%H%M%S_%f", times=times)
    frames = pair_files(tmp_path / "ir", tmp_path / "vi", match).frames
    assert [(frame.id, frame.visible.stem) for frame in frames] == [("a__1", "y"), ("a__2", "x")]
    touch(tmp_path / "ir", "a/3.png")
    with pytest.raises(RequestError, match=r"ir.csv: no time of a/3.png"):
        pair_files(tmp_path / "ir", tmp_path / "vi", match)


def test_order_needs_equal_counts(tmp_path):
    touch(tmp_path / "ir", "s/f2.png", "s/f10.png")
    touch(tmp_path / "vi", "s/9.png", "s/11.png")
    frames = pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="order")).frames
    assert [(frame.id, frame.visible.stem) for frame in frames] == [("s__f2", "9"), ("s__f10", "11")]
    touch(tmp_path / "vi", "s/12.png")
    with pytest.raises(RequestError, match="sequence s: 2 infrared and 3 visible"):
        pair_files(tmp_path / "ir", tmp_path / "vi", Match(by="order"))


def test_a_table_of_pairs(tmp_path):
    touch(tmp_path / "ir", "1.png", "2.png", "3.png")
    touch(tmp_path / "vi", "x.png", "y.png")
    table = tmp_path / "pairs.csv"
    match = Match(by="table", table=str(table))
    table.write_text("infrared,visible\n2.png,x.png\n1.png,y.png\n")
    paired = pair_files(tmp_path / "ir", tmp_path / "vi", match)
    assert [(frame.id, frame.visible.stem) for frame in paired.frames] == [("1", "y"), ("2", "x")]
    assert [path.name for path in paired.dropped["infrared"]] == ["3.png"]
    table.write_text("infrared,visible\n2.png,x.png\n1.png,x.png\n4.png,y.png\n")
    with pytest.raises(RequestError) as error:
        pair_files(tmp_path / "ir", tmp_path / "vi", match)
    assert "'x.png' is in several rows" in str(error.value)
    assert "'4.png' is no infrared image" in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"infrared": "FLIR_{nr}.png"}, "fields of a name"),
        ({"visible": "FLIR.png"}, "has {id} or {time}"),
        ({"by": "time", "clock": "name"}, "both forms need {time}"),
        ({"by": "table"}, "by: table"),
        ({"by": "time", "clock": "table"}, "clock: table"),
        ({"by": "name", "infrared": "{time}"}, "both forms need {id}"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Match(**values)
