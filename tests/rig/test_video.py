"""Frames of videos: lossless ones come back to the count, named by their time; what cannot be read is said."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fuse2task.data.images import read_counts, read_visible
from fuse2task.rig.video import MANIFEST, extract_frames
from fuse2task.runtime.errors import RequestError

av = pytest.importorskip("av", reason="PyAV is not installed (extra video)")
TIMES = (0, 40, 90, 200)  # ms, of no constant rate


def write_video(path: Path, kind: str, frames: np.ndarray) -> Path:
    """A lossless video of (T, H, W) or (T, H, W, 3) at `TIMES`."""
    pixels = {"gray16le": "gray16le", "gray": "gray", "bgr0": "rgb24", "yuv420p10le": "rgb24"}[kind]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)  # the encoder rounds times to this
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.time_base = kind, Fraction(1, 1000)
        for time, array in zip(TIMES, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format=pixels).reformat(format=kind)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def draw(kind: type, *shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, np.iinfo(kind).max, (len(TIMES), *shape), endpoint=True, dtype=kind)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def test_counts_and_colours_come_back(tmp_path: Path) -> None:
    counts, colours, grey = draw(np.uint16, 24, 32), draw(np.uint8, 24, 32, 3), draw(np.uint8, 24, 32)
    for kind, pixels, read in (
        ("gray16le", counts, read_counts), ("bgr0", colours, read_visible), ("gray", grey, read_counts)
    ):  # fmt: skip
        found = extract_frames(write_video(tmp_path / f"{kind}.mkv", kind, pixels), tmp_path / "frames")
        folder = tmp_path / "frames" / kind
        assert names(folder) == ["000000000000.png", "000000040000.png", "000000090000.png", "000000200000.png"]
        assert [row["name"] for row in found["frames"]] == names(folder)
        for name, expected in zip(names(folder), pixels, strict=True):
            np.testing.assert_array_equal(read(folder / name), expected)


def test_again_repairs_and_another_video_is_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.mkv", "gray", draw(np.uint8, 24, 32))
    first = extract_frames(video, tmp_path / "out", every=2)
    folder = tmp_path / "out" / "film"
    assert names(folder) == ["000000000000.png", "000000090000.png"]
    (folder / "000000090000.png").write_bytes(b"half")
    assert extract_frames(video, tmp_path / "out", every=2) == first == json.loads((folder / MANIFEST).read_text())
    assert read_counts(folder / "000000090000.png").shape == (24, 32)
    with pytest.raises(RequestError, match="every"):
        extract_frames(video, tmp_path / "out")
    write_video(video, "gray", draw(np.uint8, 24, 40))
    with pytest.raises(RequestError, match="sha256"):
        extract_frames(video, tmp_path / "out", every=2)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    text = tmp_path / "text.mkv"
    text.write_text("no video")
    with pytest.raises(RequestError, match=r"text\.mkv: not readable as a video"):
        extract_frames(text, tmp_path / "out")
    deep = write_video(tmp_path / "deep.mkv", "yuv420p10le", draw(np.uint8, 24, 32, 3))
    with pytest.raises(RequestError, match="yuv420p10le, more than 8 bits"):
        extract_frames(deep, tmp_path / "out")
    with pytest.raises(RequestError, match=r"none\.mkv"):
        extract_frames(tmp_path / "none.mkv", tmp_path / "out")


def test_two_videos_become_pairs_by_time(tmp_path: Path, run_cli) -> None:
    for camera, kind, pixels in (
        ("ir", "gray16le", draw(np.uint16, 24, 32)),
        ("vi", "bgr0", draw(np.uint8, 24, 32, 3)),
    ):
        (tmp_path / camera).mkdir()
        video = write_video(tmp_path / camera / "film.mkv", kind, pixels)
        assert run_cli("data", "frames", str(video), "-o", str(tmp_path / "raw" / camera)) == 0
    (tmp_path / "rig.yaml").write_text(
        f"infrared: {tmp_path}/raw/ir\nvisible: {tmp_path}/raw/vi\nradiometry: {{}}\n"
        'match: { infrared: "{time}.png", visible: "{time}.png", by: time, clock: name, format: microseconds }\n'
    )
    assert run_cli("data", "import", str(tmp_path / "rig.yaml"), "-o", str(tmp_path / "pairs")) == 0
    assert len(list((tmp_path / "pairs" / "visible").rglob("*.png"))) == len(TIMES)
