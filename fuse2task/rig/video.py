"""Frames of a video file as images that `data import` reads, named by their time; through PyAV (FFmpeg), an extra."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fuse2task.data.images import encode_png
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import bytes_digest, file_digest, filling, write_bytes, write_json
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.reading import check_regular, one_line
from fuse2task.runtime.records import begun, differing, refuse

FORMAT = "fuse2task.frames"
MANIFEST = "frames.json"
_MICRO = 10**6


def extract_frames(video: Path, out: Path, every: int = 1) -> dict[str, Any]:
    """Write every `every`-th frame of the first video stream to `out / video.stem`, a sequence of `data import`.

    A frame is `TIME.png`, TIME in microseconds from the first frame, 12 digits: for `match: {by: time, clock: name,
    format: microseconds}`. Grey of 16 bits stays counts, grey of 8 bits grey, all else is RGB as FFmpeg converts it.
    Returns what `frames.json` beside them holds: the video with its hash, and each frame's name and hash.

    RequestError: PyAV is missing; no video, damaged or without times; more than 8 bits but not grey of 16; turned by
    its metadata; `out / video.stem` holds something else.
    """
    check_regular(video, "video")
    plan = {"format": FORMAT, "video": video.name, "sha256": file_digest(video), "every": every, **versions("av")}
    folder = out / video.stem

    def refuse_foreign() -> None:
        if (before := begun(folder, MANIFEST)) is not None:
            refuse(folder, "frames", differing({key: before.get(key) for key in plan}, plan))

    with filling(folder, plan, refuse_foreign):
        rows: list[dict[str, str]] = []
        with _opened(video) as container:
            stream = container.streams.video[0]
            total = stream.frames or round(float((container.duration or 0) / _MICRO * (stream.average_rate or 0)))
            with Meter(f"frames of {video.name}", max(total // every, 1), "frames") as meter:
                for number, (time, pixels) in enumerate(_frames(video, container, every)):
                    name = f"{time:012d}.png"
                    if rows and name <= rows[-1]["name"]:
                        raise RequestError(f"{video}: frame {number * every} is not later than the one before")
                    data = (
                        cv2.imencode(".png", pixels)[1].tobytes() if pixels.dtype == np.uint16 else encode_png(pixels)
                    )
                    write_bytes(folder / name, data)
                    rows.append({"name": name, "sha256": bytes_digest(data)})
                    meter.advance()
        if not rows:
            raise RequestError(f"{video}: holds no frame")
        found = {**plan, "frames": rows}
        write_json(folder / MANIFEST, found)
    return found


@contextmanager
def _opened(video: Path) -> Iterator[Any]:
    try:
        import av
    except ModuleNotFoundError:
        raise RequestError("av is not installed; `pip install 'fuse2task[video]'` brings it") from None
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise RequestError(f"{video}: has no video stream")
            yield container
    except av.FFmpegError as error:
        raise RequestError(f"{video}: not readable as a video ({one_line(error)})") from None


def _frames(video: Path, container: Any, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """Microseconds since the first frame, and (H, W) uint8 or uint16 or (H, W, 3) uint8 RGB."""
    first = None
    for number, frame in enumerate(container.decode(video=0)):
        if frame.pts is None or frame.time_base is None:
            raise RequestError(f"{video}: frame {number} has no time; write its frames as files yourself")
        time = round(frame.pts * frame.time_base * _MICRO)
        first = time if first is None else first
        if number % every == 0:
            yield time - first, _pixels(video, frame)


def _pixels(video: Path, frame: Any) -> np.ndarray:
    kind = frame.format.name
    if frame.rotation:
        fix = "turn the pixels themselves, `ffmpeg -i VIDEO -c:v ffv1 NEW.mkv` does"
        raise RequestError(f"{video}: its metadata turn it by {frame.rotation} degrees; {fix}")
    if kind.startswith("gray16"):
        return frame.to_ndarray(format="gray16le").astype(np.uint16)  # type: ignore[no-any-return]
    if max(part.bits for part in frame.format.components) > 8:
        fix = "`ffmpeg -i VIDEO -pix_fmt gray16le` (infrared) or `yuv444p` (visible) says how bits are to be dropped"
        raise RequestError(f"{video}: pixels are {kind}, more than 8 bits; {fix}")
    return frame.to_ndarray(format="gray" if kind == "gray" else "rgb24")  # type: ignore[no-any-return]
