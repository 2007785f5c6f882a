"""Datasets and loose pairs written by threads: the bytes of the plain loop, errors, interruptions, the journal."""

import collections
import hashlib
import json
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fuse2task.data.dataset import Pair
from fuse2task.data.fused import open_fused
from fuse2task.data.images import write_image
from fuse2task.data.loading import load_dataset
from fuse2task.runtime import overlap
from fuse2task.runtime.errors import RequestError
from fusion.dataset_writer import WORK, PairWriter, Shard, fuse_pairs, write_fused
from fusion.methods import make_method
from fusion.methods.base import Arithmetic, Fused, average


@pytest.fixture
def source(folder_dataset):
    return folder_dataset(12, boxes=True)


@pytest.fixture
def dataset(source):
    return load_dataset(source, "folder", boxes=source / "boxes")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def plain_average(pair) -> bytes:
    """The fused file of one pair, without any code of the package."""
    infrared = np.asarray(Image.open(pair.infrared).convert("L"))
    ycrcb = cv2.cvtColor(np.asarray(Image.open(pair.visible).convert("RGB")), cv2.COLOR_RGB2YCrCb)
    ycrcb[..., 0] = np.rint((infrared.astype(float) + ycrcb[..., 0]) / 2)
    return cv2.imencode(".png", cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR))[1].tobytes()


def test_files_and_rows_are_those_of_a_plain_loop(source, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "threads", lambda: 4)
    late = {pair.id: 0.004 * (number % 3) for number, pair in enumerate(dataset.pairs)}
    store = PairWriter.store

    def store_late(self, pair, made):
        time.sleep(late[pair.id])  # so that they end in another order
        return store(self, pair, made)

    monkeypatch.setattr(PairWriter, "store", store_late)
    write_fused(dataset, make_method("average"), tmp_path / "out")
    rows = {row["id"]: row for row in open_fused(tmp_path / "out").manifest["files"]}
    assert list(rows) == [pair.id for pair in dataset.pairs]
    for pair in dataset.pairs:
        image, label = plain_average(pair), (tmp_path / f"out/labels/test/{pair.id}.txt").read_bytes()
        assert (tmp_path / f"out/images/test/{pair.id}.png").read_bytes() == image
        assert rows[pair.id] == {
            "id": pair.id, "split": "test", "image": digest(image), "label": digest(label),
            "infrared": digest(pair.infrared.read_bytes()), "visible": digest(pair.visible.read_bytes()),
        }  # fmt: skip


def test_loose_pairs_are_those_of_a_plain_loop(dataset, tmp_path, capsys):
    assert fuse_pairs(dataset, make_method("average"), tmp_path / "out") == 12
    for pair in dataset.pairs:
        assert (tmp_path / "out" / f"{pair.id}.png").read_bytes() == plain_average(pair)
    assert len(list((tmp_path / "out").iterdir())) == 12
    says_where_the_time_went(capsys.readouterr().err)


def says_where_the_time_went(text: str) -> None:
    lines = [line for line in text.splitlines() if "pairs/s:" in line]
    assert len(lines) == 1
    assert lines[0].startswith("average: 12 pairs in ")
    for kind in ("decode", "fuse", "encode and write", "waiting"):
        assert f" {kind} " in lines[0]


def test_the_line_about_time_counts_what_was_fused(dataset, tmp_path, capsys):
    write_fused(dataset, make_method("average"), tmp_path / "out", shard=Shard(1, 1))
    says_where_the_time_went(capsys.readouterr().err)
    for _ in range(2):
        write_fused(dataset, make_method("average"), tmp_path / "half", shard=Shard(1, 2))
    said = capsys.readouterr().err
    assert said.count("6 pairs in ") == said.count("pairs/s:") == 1


class Counted(Arithmetic):
    """Average that knows which thread fused which pairs, and is interrupted at its n-th."""

    def __init__(self, stop=None):
        super().__init__("average", average)
        self.stop, self.fused, self.threads = stop, [], set()

    def fuse(self, pair, infrared, visible):
        if len(self.fused) == self.stop:
            raise KeyboardInterrupt
        self.fused.append(pair.id)
        self.threads.add(threading.get_ident())
        return super().fuse(pair, infrared, visible)


class Together(Arithmetic):
    """Average whose images depend, as a GPU's may in their last bit, on how many are fused together."""

    batch_pixels = 3 * 32 * 40

    def __init__(self, stop=None):
        super().__init__("average", average)
        self.stop, self.groups = stop, []

    def fuse_batch(self, pairs, images):
        if len(self.groups) == self.stop:
            raise KeyboardInterrupt
        self.groups.append([pair.id for pair in pairs])
        fused = super().fuse_batch(pairs, images)
        return [Fused(one.rgb + len(pairs), one.gray) for one in fused]


def test_pairs_are_fused_in_batches_that_a_resumed_run_makes_again(dataset, tmp_path):
    ids = [pair.id for pair in dataset.pairs]
    whole, stopped, again = Together(), Together(2), Together()
    write_fused(dataset, whole, tmp_path / "whole")
    assert whole.groups == [ids[0:3], ids[3:6], ids[6:9], ids[9:12]]
    with pytest.raises(KeyboardInterrupt):
        write_fused(dataset, stopped, tmp_path / "out")
    assert sorted(journal_ids(tmp_path / "out")) == sorted(ids[:6])
    (tmp_path / "out/images/test" / f"{ids[4]}.png").unlink()
    write_fused(dataset, again, tmp_path / "out")
    assert again.groups == whole.groups[1:]
    files = [
        {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        for out in (tmp_path / "whole", tmp_path / "out")
    ]
    assert files[0] == files[1]


@given(st.lists(st.sampled_from([(8, 8), (16, 8), (32, 32)])), st.integers(0, 300))
def test_batches_hold_every_pair_once_of_one_size_within_the_limit(sizes, pixels):
    pairs = [Pair(f"p{n:03d}", "test", Path("i"), Path("v"), size) for n, size in enumerate(sizes)]
    groups = overlap.in_batches(pairs, pixels)
    assert sorted(pair.id for group in groups for pair in group) == [pair.id for pair in pairs]
    assert [group[0].id for group in groups] == sorted(group[0].id for group in groups)
    for group in groups:
        assert len({pair.size for pair in group}) == 1
        assert [pair.id for pair in group] == sorted(pair.id for pair in group)
        assert len(group) == 1 or sum(w * h for w, h in (pair.size for pair in group)) <= pixels
    if pixels >= 128:
        assert sum(len(group) > 1 for group in groups) >= (sizes.count((8, 8)) > 1)


def journal_ids(out):
    """Ids of the complete rows in the journals, in their order."""
    ids = []
    for path in sorted((out / WORK).glob("journal-*.jsonl")):
        for line in path.read_text().splitlines():
            if line and line.endswith("}"):
                ids.append(json.loads(line)["id"])
    return ids


@pytest.mark.parametrize("stop", [0, 1, 3, 5])
def test_each_pair_is_fused_and_journalled_once_whatever_the_interruption(dataset, tmp_path, stop):
    out, ids = tmp_path / "out", [pair.id for pair in dataset.pairs]
    first = Counted(stop)
    with pytest.raises(KeyboardInterrupt):
        write_fused(dataset, first, out, shard=Shard(1, 2))
    mine = ids[::2][:stop]
    assert first.fused == mine
    assert sorted(journal_ids(out)) == sorted(mine)
    assert not list(out.rglob("*.tmp"))
    journal = out / WORK / "journal-1-of-2.jsonl"
    journal.write_text(journal.read_text() + '{"id": "p2", "spl')  # as a kill leaves it
    second = Counted()
    assert not write_fused(dataset, second, out, shard=Shard(1, 2))
    assert first.fused + second.fused == ids[::2]
    assert collections.Counter(journal_ids(out)) == dict.fromkeys(ids[::2], 1)
    assert first.threads | second.threads == {threading.get_ident()}


def test_a_damaged_image_is_one_error_and_what_came_before_is_kept(source, dataset, tmp_path, run_cli):
    out, request = tmp_path / "out", ("fusion", "apply", "--method", "average", "--data", source, "--layout", "folder")
    request += ("--boxes", source / "boxes", "-o", out)
    bad = source / "vi" / "p6.png"  # its header can still be read
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    assert run_cli(*request) == 2
    errors = [line for line in run_cli.error.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "p6.png" in errors[0]
    assert "damaged image" in errors[0]
    assert "Traceback" not in run_cli.error
    before = [pair.id for pair in dataset.pairs[: [pair.id for pair in dataset.pairs].index("p6")]]
    assert sorted(journal_ids(out)) == sorted(before)
    assert {path.stem for path in (out / "images").rglob("*")} - {"test"} == set(before)
    with pytest.raises(RequestError, match=r"p6\.png"):
        fuse_pairs(dataset, make_method("average"), tmp_path / "loose")
    bad.write_bytes(whole)
    assert run_cli(*request) == 0
    assert (out / "images/test/p6.png").read_bytes() == plain_average(next(p for p in dataset.pairs if p.id == "p6"))


def test_a_mask_that_cannot_be_read_stops_the_writers(source, tmp_path):
    for number in range(12):
        write_image(source / "masks" / f"p{number}.png", np.full((32, 40), number % 9, np.uint8))
    dataset = load_dataset(source, "folder", masks=source / "masks")
    method = Counted()
    broken = source / "masks" / "p3.png"

    def check(_pairs):  # after the truth has been read, before the work begins
        broken.write_bytes(broken.read_bytes()[:40])

    method.check = check
    with pytest.raises(RequestError, match=r"p3\.png"):
        write_fused(dataset, method, tmp_path / "out")
    assert "p3" not in journal_ids(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("p3.*"))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_folder_that_cannot_be_written_is_one_error(source, tmp_path, run_cli):
    (tmp_path / "out").write_text("a file where the folder should be")
    folders = ("--ir", source / "ir", "--visible", source / "vi", "-o", tmp_path / "out")
    assert run_cli("fusion", "pairs", *folders, "--method", "average") == 1
    errors = [line for line in run_cli.error.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert str(tmp_path / "out") in errors[0]
