"""Damage to valid files: cuts, flipped bits, extreme numbers, wrong encodings and types, hostile names; and what may
stand where a file should: folders, pipes, devices, circular links, endless files."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

HOSTILE_NAMES = (
    "../../../etc/passwd", "/etc/passwd", "..", ".", "", " ", "a b", "a\nb", "a\x00b", "\x1b[2J", "CON", "a/b", "a\\b",
    "é", "e\u0301", "\u202egnp.exe", "𝕏", "<script>alert(1)</script>", "$(touch x)", "%s%n", "a" * 300, "a" * 70_000,
    "[/red]", "'; DROP TABLE", "-rf", "~", "*", "\ud800",
)  # fmt: skip
HOSTILE_NUMBERS = (
    0, -1, 1.5, -0.0, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 1e308, -1e308, 1e-320, float("nan"),
    float("inf"), -float("inf"), True, "1", "1e5", "٣",
)  # fmt: skip
WORDS = (
    b"\xff" * 4,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00" * 8,
    b"\x00\x00\xc0\x7f",
    b"\x80" * 4,
)


def truncated(data: bytes, rng: Random) -> bytes:
    """The beginning, or all but the beginning."""
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.8 else data[at:]


def flipped(data: bytes, rng: Random) -> bytes:
    """Up to eight other bits, or bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if changed else 0):
        at = rng.randrange(len(changed))
        changed[at] = changed[at] ^ 1 << rng.randrange(8) if rng.random() < 0.7 else rng.randrange(256)
    return bytes(changed)


def renumbered(data: bytes, rng: Random) -> bytes:
    """Other numbers: in a text the written ones, in other files some words of four or eight bytes."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?", data)) if _is_text(data) else []
    if places:
        for place in sorted(rng.sample(places, min(len(places), rng.randint(1, 3))), key=lambda it: -it.start()):
            new = str(rng.choice(HOSTILE_NUMBERS)) if rng.random() < 0.8 else "9" * rng.choice((20, 5000, 100_000))
            data = data[: place.start()] + new.encode("utf-8", "surrogatepass") + data[place.end() :]
        return data
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        word, at = rng.choice(WORDS), rng.randrange(min(len(changed), 512) if rng.random() < 0.7 else len(changed))
        changed[at : at + len(word)] = word
    return bytes(changed)


def spliced(data: bytes, rng: Random) -> bytes:
    """A part of the file once more, taken out, or many times over."""
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    times = rng.choice((0, 2, 3, 1 + 200_000 // (b - a + 1)))
    return data[:a] + data[a:b] * times + data[b:]


def reencoded(data: bytes, rng: Random) -> bytes:
    """Another encoding, a byte order mark, stray bytes, NULs or other line ends."""
    text = data.decode("utf-8", "replace")
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: text.encode("utf-16"), lambda: text.encode("utf-16-le"), lambda: text.encode("utf-32"),
        lambda: b"\xef\xbb\xbf" + data, lambda: data + "é".encode("latin-1"), lambda: data.replace(b"\n", b"\r"),
        lambda: data.replace(b"\n", b"\n\x00"), lambda: data.replace(b" ", "\u2028".encode()), lambda: b"\x00" * 1000,
        lambda: text.encode("utf-7"), lambda: bytes(rng.randrange(256) for _ in range(rng.randrange(2000))),
    )  # fmt: skip
    return rng.choice(kinds)()


def nested(depth: int, rng: Random) -> Any:
    """A list or dict inside itself, `depth` times; as text, since no JSON writer goes so deep."""
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    return opening * depth + "1" + closing * depth


def deepened(data: bytes, rng: Random) -> bytes:
    """Deep nesting in the words of JSON, YAML or XML, alone or in the place of some number."""
    depth = rng.choice((50, 900, 5000, 60_000))
    text = nested(depth, rng) if rng.random() < 0.7 else "<a>" * depth + "</a>" * depth
    place = re.search(rb"\d+", data) if _is_text(data) and rng.random() < 0.6 else None
    return data[: place.start()] + text.encode() + data[place.end() :] if place else text.encode()


def retyped(value: Any, rng: Random) -> Any:
    """JSON values with one to three of them replaced by others, missing, or named otherwise."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        value = _replaced(value, rng)
    return value


def hostile(rng: Random) -> Any:
    """A value that nobody expects."""
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(HOSTILE_NUMBERS)
    if kind < 0.7:
        return rng.choice(HOSTILE_NAMES)
    return rng.choice((None, [], {}, [[]], [None], {"a": {}}, [1, "a"], ["x"] * 1000, {"": ""}, "x" * 10**6, False))


def as_json(value: Any) -> bytes:
    """JSON, with NaN and infinities as Python writes them."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _replaced(value: Any, rng: Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        if rng.random() < 0.1:
            return {**value, str(rng.choice(HOSTILE_NAMES)): hostile(rng)}
        return {**value, key: _replaced(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        if rng.random() < 0.15:
            return value + [value[at]] * rng.choice((1, 1000))
        return [*value[:at], _replaced(value[at], rng), *value[at + 1 :]]
    return hostile(rng)


def _is_text(data: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1f]", data[:4096])


GENERIC: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncated": truncated, "bits flipped": flipped, "numbers": renumbered, "spliced": spliced, "encoding": reencoded,
    "nested": deepened,
}  # fmt: skip

PLACES = ("empty", "missing", "folder", "pipe", "loop", "dangling", "device", "sparse", "name")


def put(path: Path, data: bytes, rng: Random) -> Path:
    """Put one of them at `path`; returns what to read, which for a hostile name is another path."""
    kind = rng.choice(PLACES)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "device":
        path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem")))
    elif kind == "sparse":
        path.write_bytes(data[: rng.randrange(len(data))])
        os.truncate(path, rng.choice((10**6, 50 * 10**6, 10**10)))
    elif kind == "name":
        stem = rng.choice(("a b", "é", "new\nline", "\x1b[31m", "\udcff", "-x", "$(x)", "x" * 180, "<b>", "a'\"b"))
        path = path.with_name(f"{stem}{path.suffix}")
        path.write_bytes(data)
    return path
