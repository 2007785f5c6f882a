"""No command writes over what it reads: the same place by whatever name, one folder in the other, links."""

import json
import os

import pytest

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap


@pytest.fixture
def place(folder_dataset, fused_dataset, detector_file, tmp_path, monkeypatch):
    """A folder with all that the commands below read: data, fused, gt.json, dets.json, judge.safetensors, masks."""
    folder_dataset(boxes=True).rename(tmp_path / "data")
    truth = {
        "images": [{"id": 1, "file_name": "p0.png", "width": 40, "height": 32}],
        "categories": [{"id": 1, "name": "car"}], "annotations": [],
    }  # fmt: skip
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dets.json").write_text("[]")
    (tmp_path / "judge.safetensors").write_bytes(detector_file.read_bytes())
    (tmp_path / "bench.yaml").write_text(
        "datasets: {d: {root: data, layout: folder, boxes: data/boxes}}\n"
        "judges: {j: {task: detection, protocol: frozen, weights: judge.safetensors}}\nopen_test: true\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listing(root):
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


APPLY = "fusion apply --method average --data data --layout folder --boxes data/boxes -o"
DEGRADE = "data degrade data --layout folder --boxes data/boxes --kind noise --level 1 -o"
FOLDER = "fusion apply --method f=fused/images/test --data data --layout folder -o"
PAIRS = "fusion pairs --ir data/ir --visible data/vi --method average -o"
SCORE = "fusion score --ir data/ir --visible data/vi --fused f=fused/images/test --scores EN -o"
RIG = "data import rig/plain --infrared data/ir --visible data/vi -o"
CONVERT = "data convert data/boxes --images data/vi --to voc -o"
PREDICT = "detection predict --weights judge.safetensors --data fused --split test -o"
EVAL = "detection eval --truth gt.json --predictions dets.json -o"
JUDGE = "detection eval --weights judge.safetensors --data fused --split test -o"
IOU = "segmentation eval --labels data/boxes --predictions data/ir -o"
TRAIN = "detection train detection/yolo-n-demo data=fused epochs=1 -o"
IMPORT = "fusion import --ir gt.json --visible dets.json --fusion judge.safetensors -o"
BENCH = "bench run bench.yaml -o"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (APPLY, "data/ir"), (APPLY, "data/boxes"), (APPLY, "data"), (APPLY, "data/vi/fused"), (APPLY, "link/ir"),
        (FOLDER, "fused/images"), (FOLDER, "fused/images/test"),
        (DEGRADE, "data"), (DEGRADE, "data/ir"), (DEGRADE, "data/boxes/new"), (DEGRADE, "link"),
        (RIG, "data"), (RIG, "link/ir"), (RIG, "data/vi/new"),
        (PAIRS, "data/ir"), (PAIRS, "data/vi"), (PAIRS, "data"), (PAIRS, "link/vi"),
        (PAIRS, "data/../data/vi"), (PAIRS, "data/vi/new"),
        (SCORE, "data/ir/scores.csv"), (SCORE, "fused/images/test/scores.csv"), (SCORE, "scores.json"),
        (CONVERT, "data/boxes"), (CONVERT, "data/vi"), (CONVERT, "data/boxes/voc"),
        (PREDICT, "judge.safetensors"), (PREDICT, "fused/annotations/test.json"), (PREDICT, "fused/images/dets.json"),
        (EVAL, "gt.json"), (EVAL, "dets.json"), (EVAL, "hard.json"), (EVAL, "soft.json"),
        (JUDGE, "fused/manifest.json"), (JUDGE, "fused/annotations/test.json"),
        (IOU, "data/boxes/m.json"), (IOU, "data/ir/m.json"),
        (TRAIN, "fused/images"), (TRAIN, "fused"), (TRAIN, "fused/labels/run"),
        (IMPORT, "gt.json"), (IMPORT, "judge.safetensors"),
        (BENCH, "data/ir"), (BENCH, "data/boxes"), (BENCH, "data/vi/bench"), (BENCH, "data"),
    ],
)  # fmt: skip
def test_every_command_keeps_what_it_reads(place, run_cli, command, output):
    (place / "link").symlink_to(place / "data")
    os.link(place / "gt.json", place / "hard.json")
    (place / "soft.json").symlink_to(place / "gt.json")
    before = listing(place)
    assert run_cli(*command.split(), output) == 2, run_cli.output + run_cli.error
    assert len(run_cli.error.strip().splitlines()) == 1
    assert output in run_cli.error
    assert listing(place) == before


@pytest.mark.parametrize(("output", "given"), [("a/b/c", "a/b"), ("a", "a/b"), ("a/b", "a/b"), ("x/../a/b", "a/b")])
def test_overlap_is_found_where_nothing_exists_yet(tmp_path, output, given):
    with pytest.raises(RequestError, match="give another -o"):
        refuse_overlap(tmp_path / output, None, tmp_path / "elsewhere", tmp_path / given)


def test_neighbours_do_not_overlap(tmp_path):
    refuse_overlap(tmp_path / "ab", tmp_path / "a", tmp_path / "a" / "b", None)
    refuse_overlap(tmp_path / "a.json", tmp_path / "a")
