"""Split lists: their form, their hash, the shipped ones, and dealing out new ones."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.data.dataset import sequence_of, validation_split
from fuse2task.data.loading import load_dataset
from fuse2task.data.splits import (
    make_split,
    parse_parts,
    read_split,
    resolve,
    shipped_splits,
    split_hash,
    write_split,
)
from fuse2task.runtime.errors import RequestError

PARTS = {"train": 0.8, "val": 0.1, "test": 0.1}
FRAMES = [f"{number:05d}" for number in range(4200)]
SHIPPED = {
    "m3fd-811": ({"train": 3360, "val": 420, "test": 420}, "0d07835ffb95"),
    "m3fd-blocks": ({"train": 3360, "val": 420, "test": 420}, "97f404a2e305"),
    "m3fd-scenes": ({"train": 2727, "val": 633, "test": 840}, "0fed448c3b7a"),
    "msrs-official": ({"train": 1083, "test": 361}, "ebaf11b9cc28"),
    "msrs-open": ({"train": 119, "test": 122}, "4571e69d0de1"),
    "msrs-open-149": ({"train": 149, "test": 122}, "fa9afc75ce7c"),
    "msrs-seafusion-31": ({"test": 31}, "f8d004c8535f"),
    "msrs-silver-22": ({"test": 22}, "80a4bc31e9f1"),
    "roadscene-171-50": ({"train": 171, "test": 50}, "7198f3a6a919"),
}


def test_the_shipped_lists():
    assert shipped_splits() == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sizes_and_hashes_never_change(name):
    split = read_split(resolve(name))
    sizes, digest = SHIPPED[name]
    assert Counter(split.values()) == sizes
    lines = sorted(resolve(name).read_text().splitlines())
    assert split_hash(split) == digest
    assert hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()[:12] == digest


def test_shipped_m3fd_lists_come_from_the_command_and_cover_every_frame():
    assert read_split(resolve("m3fd-811")) == make_split(FRAMES, PARTS)
    assert read_split(resolve("m3fd-blocks")) == make_split(FRAMES, PARTS, seed=101, block=60)
    for name in ("m3fd-811", "m3fd-blocks", "m3fd-scenes"):
        assert sorted(read_split(resolve(name))) == FRAMES


def test_official_msrs_has_the_published_day_and_night_counts():
    split = read_split(resolve("msrs-official"))
    assert Counter(name[-1] for name in split) == {"D": 715, "N": 729}
    assert {split[name] for name in read_split(resolve("msrs-open"))} == {"test"}


def test_blocks_stay_together():
    split = make_split(FRAMES, PARTS, seed=3, block=60)
    for start in range(0, 4200, 60):
        assert len({split[name] for name in FRAMES[start : start + 60]}) == 1
    assert make_split(FRAMES, PARTS, seed=4, block=60) != split


def test_sequences_stay_together():
    ids = [f"set0{place}__V{film}__I{frame}" for place in range(4) for film in range(3) for frame in range(place + 1)]
    sequences = {name: sequence_of(name) for name in ids}
    split = make_split(ids, {"train": 0.75, "test": 0.25}, seed=1, sequences=sequences)
    films = {(name.rpartition("__")[0], part) for name, part in split.items()}
    assert Counter(part for _, part in films) == {"train": 9, "test": 3}
    assert make_split(ids, {"train": 0.75, "test": 0.25}, seed=2, sequences=sequences) != split
    with pytest.raises(RequestError, match="id 'x' has no folder"):
        make_split([*ids, "x"], PARTS, sequences=sequences | {"x": ""})
    with pytest.raises(RequestError, match="2 sequences are too few"):
        make_split(ids[:2], {"train": 0.5, "val": 0.25, "test": 0.25}, sequences=sequences)


@given(st.integers(3, 400), st.integers(0, 5))
def test_shares_are_met_to_one_pair(count, seed):
    split = make_split(FRAMES[:count], {"train": 0.5, "val": 0.3, "test": 0.2}, seed)
    assert sorted(split) == FRAMES[:count]
    for name, share in {"train": 0.5, "val": 0.3, "test": 0.2}.items():
        assert abs(list(split.values()).count(name) - count * share) < 1


def test_too_few_for_the_parts():
    with pytest.raises(RequestError, match="too few"):
        make_split(FRAMES[:120], PARTS, block=60)


@pytest.mark.parametrize("text", ["", "train", "train=0.5,test=0.4", "a=0.5,a=0.5", "train=1.5,test=-.5", "x y=1"])
def test_bad_parts(text):
    with pytest.raises(RequestError, match="parts"):
        parse_parts(text)


def test_parts():
    assert parse_parts("train=0.8, test=0.2") == {"train": 0.8, "test": 0.2}


def test_written_lists_read_back(tmp_path):
    split = {"b": "train", "a": "test", "1 (10)": "train"}
    digest = write_split(tmp_path / "s.txt", split)
    assert (tmp_path / "s.txt").read_text() == "test\ta\ntrain\t1 (10)\ntrain\tb\n"
    assert read_split(tmp_path / "s.txt") == split
    assert digest == split_hash(dict(reversed(split.items())))


@pytest.mark.parametrize(
    "text",
    [
        "", "train a\n", "train\ta\ntest\ta\n", "\n", "train\t\n", "tr ain\ta\n", "train\ta\tb\n",
        "train\t../a\n", "train\t/etc/passwd\n", "train\t..\n", "train\ta\\b\n", "../x\ta\n", "train\t a\n",
    ],
)  # fmt: skip
def test_bad_lists_are_refused(tmp_path, text):
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(RequestError, match="bad split list"):
        read_split(tmp_path / "s.txt")


def test_all_bad_lines_are_named(tmp_path):
    (tmp_path / "s.txt").write_text("train\ta\nx\ntest\ta\n")
    with pytest.raises(RequestError, match=r"(?s)line 2: 'x'.*line 3: id 'a'"):
        read_split(tmp_path / "s.txt")


@pytest.mark.parametrize("name", ["nothing", "../splits/msrs-open", "/msrs-open"])
def test_unknown_list(name):
    with pytest.raises(RequestError, match="Shipped: m3fd-811"):
        resolve(name)


def test_a_list_chooses_and_names_the_split(tmp_path, pairs_in):
    pairs_in(tmp_path / "ir", tmp_path / "vi", "a.png", "b.png", "c.png")
    (tmp_path / "mine.txt").write_text("val\tb\ntrain\ta\n")
    dataset = load_dataset(tmp_path, "folder", split=str(tmp_path / "mine.txt"))
    assert [(pair.split, pair.id) for pair in dataset.pairs] == [("train", "a"), ("val", "b")]
    assert (dataset.split_name, dataset.split_hash) == ("mine", split_hash({"a": "train", "b": "val"}))
    layout = load_dataset(tmp_path, "folder")
    assert (layout.split_name, layout.split_hash) == ("layout", split_hash(dict.fromkeys("abc", "test")))


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_the_validation_split_by_any_of_its_names(name):
    assert validation_split(("train", name, "test")) == name
    assert validation_split(("train", "test", "other")) is None
