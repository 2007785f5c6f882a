"""Split lists: which pair is for training and which for testing, as a file with a hash."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fuse2task.config.recipes import configs_folder
from fuse2task.data.dataset import is_safe_id, is_split_name, split_hash
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import write_text
from fuse2task.runtime.reading import read_text


def shipped_splits() -> list[str]:
    """Names of the shipped split lists, sorted.

    `msrs-official`: the authors' 1 083 / 361 (as in Lele-3/MSRS-detection-label); `msrs-open`: 119 / 122 of the
    official test half; `msrs-seafusion-31`: those of the 122 that SeAFusion's authors published fused;
    `roadscene-171-50`: CDDFuse's 50 for test; `m3fd-scenes`: the 2 727 / 633 / 840 of ganlumomo/voc2coco; the other
    two are `make_split`'s.
    """
    return sorted(path.stem for path in (configs_folder() / "splits").glob("*.txt"))


def resolve(reference: str | Path) -> Path:
    """The file behind a path, or behind the name of a shipped list such as `m3fd-811`. RequestError: neither."""
    if os.path.isfile(reference):
        return Path(reference)
    name = str(reference).removesuffix(".txt")
    if name in shipped_splits():
        return configs_folder() / "splits" / f"{name}.txt"
    names = ", ".join(shipped_splits())
    raise RequestError(f"{reference}: no such split list, and none of that name is shipped. Shipped: {names}")


def read_split(path: Path) -> dict[str, str]:
    """Pair id -> split, from lines `split<TAB>id`.

    RequestError: missing, not text, empty, or bad lines (form, repeated or unsafe id), which are listed.
    """
    lines = read_text(path, "split list").splitlines()
    split: dict[str, str] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        part, tab, name = unicodedata.normalize("NFC", line).partition("\t")
        if not tab or not is_split_name(part):
            problems.append(f"line {number}: {line[:100]!r} is not split<TAB>id")
        elif not is_safe_id(name):
            problems.append(f"line {number}: {name[:100]!r} is no pair id (a name without / or leading dot)")
        elif name in split:
            problems.append(f"line {number}: id {name!r} is there twice")
        else:
            split[name] = part
    if problems or not lines:
        raise RequestError(f"{path}: bad split list\n{listing(problems or ['the list is empty'])}")
    return split


def write_split(path: Path, split: Mapping[str, str]) -> str:
    """Write `split` as sorted lines, atomically; returns its hash."""
    write_text(path, "".join(f"{part}\t{name}\n" for part, name in sorted((p, n) for n, p in split.items())))
    return split_hash(split)


def parse_parts(text: str) -> dict[str, float]:
    """Shares from a text such as `train=0.8,val=0.1,test=0.1`.

    RequestError: another form, a share that is not above 0, or shares that do not add up to 1.
    """
    parts: dict[str, float] = {}
    for item in text.split(","):
        name, _, share = item.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if not is_split_name(name) or name in parts or not 0 < value <= 1:
            raise RequestError(f"parts {text!r}: {item!r} is not name=share with a new name and a share in (0, 1]")
        parts[name] = value
    if abs(sum(parts.values()) - 1) > 1e-6:
        raise RequestError(f"parts {text!r}: the shares add up to {sum(parts.values()):g}, not 1")
    return parts


def make_split(
    ids: Sequence[str], parts: Mapping[str, float], seed: int = 0, block: int = 1,
    sequences: Mapping[str, str] | None = None,
) -> dict[str, str]:  # fmt: skip
    """Random split of ids, determined by `seed`; runs of `block` consecutive ids stay together, or whole sequences
    (id -> name), and then the shares are of sequences.

    So neighbouring frames of a video do not end up on both sides. Shipped, over 00000 to 04199 with
    train=0.8,val=0.1,test=0.1: `m3fd-811` (seed 0, block 1), `m3fd-blocks` (block 60; seed 101 of 0 to 199 spreads
    classes and scenes most evenly). RequestError: fewer blocks than parts, or an id without a sequence.
    """
    ordered = sorted(ids, key=natural_order)
    if sequences is not None:
        frames: dict[str, list[str]] = {}
        for name in ordered:
            frames.setdefault(sequences[name], []).append(name)
        if "" in frames:
            text = "no folder above its files that could be its sequence; use blocks of consecutive ids"
            raise RequestError(f"id {frames[''][0]!r} has {text}")
        blocks = list(frames.values())
    else:
        blocks = [ordered[start : start + block] for start in range(0, len(ordered), block)]
    # Whole numbers that add up, by largest remainder.
    counts = Counter({name: int(len(blocks) * share + 1e-9) for name, share in parts.items()})
    remainders = sorted(parts, key=lambda name: (counts[name] - len(blocks) * parts[name], name))
    counts.update(remainders[: len(blocks) - counts.total()])
    if min(counts.values()) == 0:
        what = "sequences" if sequences is not None else f"blocks of {block}"
        raise RequestError(f"{len(blocks)} {what} are too few for the parts {', '.join(parts)}")
    labels = [name for name, count in counts.items() for _ in range(count)]
    order = generator(seed, "split", block if sequences is None else "sequence").permutation(len(blocks))
    return {name: labels[rank] for rank, index in enumerate(order) for name in blocks[index]}


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key under which frame2 comes before frame10."""
    pieces = re.split(r"([0-9]+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces], name
