"""Import of two cameras' recordings: pairs of one size and 8 bits for every command, and a record of what was done."""

import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.config.recipes import Recipe
from fuse2task.data.images import CAMERAS, Camera, encode_png, image_header, read_counts, read_infrared, read_visible
from fuse2task.rig.pairing import Frame, Match, Paired, pair_files
from fuse2task.rig.radiometry import BadPixels, Radiometry, ToneMap, bad_pixels, repaired, set_histogram
from fuse2task.runtime import files
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import by_content, bytes_digest, file_digest, lines_hash, read_json
from fuse2task.runtime.overlap import SPARE, ahead, threads
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.records import differing, refuse

FORMAT = "fuse2task.import"
MANIFEST = "import.json"
BAD_PIXELS = "bad_pixels.csv"
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "scipy")
_FLIR = b"FLIR\x00\x01"  # begins a block of a radiometric JPEG (R-JPEG)
_HEAD = 65536  # bytes in which the first block lies


class ImportRecipe(Recipe):
    """What `data import` does. infrared, visible: folders, which may be one; paths are those of the working directory.
    Without radiometry, 8-bit infrared stays as it is, and 16-bit infrared is mapped by `Radiometry`'s defaults."""

    infrared: str
    visible: str
    match: Match = Match()
    radiometry: Radiometry | None = None
    bad_pixels: BadPixels | None = None


def import_pairs(recipe: ImportRecipe, out: Path) -> dict[str, Any]:
    """Write the pairs of a recording to `out` in layout folder; a second run checks and repairs them.

    `out/infrared/` and `out/visible/` hold them, a sequence's frames in a folder of its name, so that ids begin with
    it; what nothing changes is copied byte for byte, all else is PNG. `out/import.json`, which is returned, tells the
    recipe, what was found by it (range, defective pixels) and each file's source and hash.

    RequestError: as `pair_files` and the parts of `fuse2task.rig`; pairs of unequal size without a registration, or an
    `out` that holds something else or overlaps what is read.
    """
    files.refuse_overlap(out, Path(recipe.infrared), Path(recipe.visible))
    paired = pair_files(Path(recipe.infrared), Path(recipe.visible), recipe.match)
    return _Import(recipe, paired, Path(out)).run()


@dataclass(frozen=True)
class _Treatment:
    """What happens to every frame of the set."""

    tone: ToneMap | None
    bad: np.ndarray

    def images(self, frame: Frame) -> dict[Camera, np.ndarray]:
        infrared = repaired(
            read_infrared(frame.infrared) if self.tone is None else read_counts(frame.infrared), self.bad
        )
        visible = read_visible(frame.visible)
        return {"infrared": infrared if self.tone is None else self.tone.apply(infrared), "visible": visible}

    def changes(self, camera: Camera) -> bool:
        return camera == "infrared" and (self.tone is not None or len(self.bad) > 0)


class _Import:
    """One import being written."""

    def __init__(self, recipe: ImportRecipe, paired: Paired, out: Path):
        self.recipe, self.paired, self.out, self.work = recipe, paired, out, out / ".fuse2task"
        self.frames = paired.frames
        self.infrared = [frame.infrared for frame in self.frames]
        self.size = self._checked_sizes()
        self.sources = self._digests()
        settings = recipe.model_dump(mode="json", exclude={"infrared", "visible"})
        self.plan = {
            "format": FORMAT, "recipe": by_content(settings), "pairs": len(self.frames),
            "content": lines_hash(f"{name}\t{first}\t{second}" for name, (first, second) in self.sources.items()),
            "versions": versions(*_PACKAGES),
        }  # fmt: skip

    def run(self) -> dict[str, Any]:
        """Write what is missing or differs."""
        with files.filling(self.out, self.plan, self._refuse_foreign):
            return self._written()

    def _checked_sizes(self) -> tuple[int, int]:
        """(width, height) of the infrared files, from their headers."""
        problems, sizes = [], Counter[tuple[int, int]]()
        for frame in self.frames:
            (first, _), (second, _) = image_header(frame.infrared), image_header(frame.visible)
            sizes[first] += 1
            if first != second:
                text = f"{first[0]}x{first[1]}, but {frame.visible} is {second[0]}x{second[1]}"
                problems.append(f"{frame.infrared}: {text}")
        if problems:
            raise RequestError(f"{len(problems)} pairs of unequal size\n{listing(problems)}")
        size = sizes.most_common(1)[0][0]
        if self.recipe.bad_pixels is not None and len(sizes) > 1:
            shown = ", ".join(f"{width}x{height}" for width, height in sizes)
            raise RequestError(f"{self.recipe.infrared}: images of {shown}; one sensor's defects are in one size")
        return size

    def _digests(self) -> dict[str, tuple[str, str]]:
        with (
            ThreadPoolExecutor(threads()) as readers,
            Meter("reading", len(self.frames), "pairs") as meter,
        ):
            found = {}
            digests = ahead(self.frames, _sources, readers, threads() + SPARE)
            for frame, digest in zip(self.frames, digests, strict=True):
                found[frame.id] = digest
                meter.advance()
        return found

    def _written(self) -> dict[str, Any]:
        done = self._journalled()
        missing = [frame for frame in self.frames if not self._holds(done.get(frame.id))]
        if not missing and (self.out / MANIFEST).is_file():
            return read_json(self.out / MANIFEST, "manifest")
        treatment, found = self._survey()
        (self.out / MANIFEST).unlink(missing_ok=True)
        with (
            ThreadPoolExecutor(threads()) as workers,
            Meter("import", len(self.frames), "pairs", len(self.frames) - len(missing)) as meter,
            files.JournalWriter(self.work / "journal.jsonl") as journal,
        ):
            for row in ahead(missing, lambda frame: self._write(frame, treatment), workers, threads() + SPARE):
                journal.append(row)
                done[row["id"]] = row
                meter.advance()
        manifest = {**self.plan, **found, **self._pairing(), "frames": [done[frame.id] for frame in self.frames]}
        files.write_json(self.out / MANIFEST, manifest)
        (self.work / "journal.jsonl").unlink()
        return manifest

    def _survey(self) -> tuple[_Treatment, dict[str, Any]]:
        """What the whole set decides, and the manifest's words for it."""
        radiometric = [path for path in self.infrared if _is_radiometric(path)]
        if radiometric:
            text = f"{radiometric[0]}: a FLIR radiometric JPEG, of which only the 8-bit picture can be read"
            fix = "export it as 16-bit TIFF or PNG (ThermImageJ, exiftool -RawThermalImage) to use its counts"
            if self.recipe.radiometry is not None:
                raise RequestError(f"{text}; {fix}")
            say(f"note: {len(radiometric)} such files, {text}; {fix}")
        section = self.recipe.radiometry
        if section is None and read_counts(self.infrared[0]).dtype == np.uint16:
            section = Radiometry()
        bad, tone = np.zeros((0, 2), int), None
        if self.recipe.bad_pixels is not None:
            bad = bad_pixels(self.infrared, self.recipe.bad_pixels, self.size)
            rows = "".join(f"{x},{y}\n" for x, y in bad.tolist())
            files.write_text(self.out / BAD_PIXELS, f"x,y\n{rows}")  # a map for the next recording
        if section is not None:
            tone = ToneMap(section)
            if not section.per_frame:
                tone = ToneMap.of(section, set_histogram(self.infrared, bad))
        found = {"radiometry": tone and tone.as_json(), "bad_pixels": bad.tolist()}
        return _Treatment(tone, bad), found

    def _pairing(self) -> dict[str, Any]:
        dropped = {camera: [self._name(camera, path) for path in self.paired.dropped[camera]] for camera in CAMERAS}
        sequences = Counter(frame.sequence for frame in self.frames)
        return {"dropped": dropped, "unused": dict(self.paired.unused), "sequences": dict(sorted(sequences.items()))}

    def _name(self, camera: Camera, path: Path) -> str:
        """A source's path below its camera's folder."""
        return path.relative_to(self.recipe.infrared if camera == "infrared" else self.recipe.visible).as_posix()

    def _write(self, frame: Frame, treatment: _Treatment) -> dict[str, Any]:
        row: dict[str, Any] = {"id": frame.id, "sequence": frame.sequence}
        if frame.apart is not None:
            row["apart"] = frame.apart
        images = treatment.images(frame)  # what is copied has been decoded, too: a damaged file ends the import
        for camera, digest in zip(CAMERAS, self.sources[frame.id], strict=True):
            source = frame.infrared if camera == "infrared" else frame.visible
            changed = treatment.changes(camera)
            suffix = ".png" if changed else source.suffix.lower()
            target = Path(camera, *([frame.sequence] if frame.sequence else []), f"{frame.name}{suffix}")
            data = encode_png(images[camera]) if changed else source.read_bytes()
            files.write_bytes(self.out / target, data)
            row[camera] = {
                "path": target.as_posix(), "sha256": bytes_digest(data), "source": self._name(camera, source),
                "source_sha256": digest,
            }  # fmt: skip
        return row

    def _holds(self, row: dict[str, Any] | None) -> bool:
        """Whether the files that a row tells of are as they were written."""
        if row is None:
            return False
        paths = [(self.out / row[camera]["path"], row[camera]["sha256"]) for camera in CAMERAS]
        return all(path.is_file() and file_digest(path) == digest for path, digest in paths)

    def _refuse_foreign(self) -> None:
        found = next((path for path in (self.work / "plan.json", self.out / MANIFEST) if path.is_file()), None)
        if found is not None:
            before = read_json(found, "manifest")
            refuse(self.out, "an import", differing({key: before.get(key) for key in self.plan}, self.plan))
        elif self.out.exists() and not (self.out.is_dir() and set(self.out.iterdir()) <= {self.work}):
            raise RequestError(f"{self.out}: not an empty folder; give another -o")

    def _journalled(self) -> dict[str, dict[str, Any]]:
        rows = files.journal_rows(self.work / "journal.jsonl")
        if (self.out / MANIFEST).is_file():
            rows = read_json(self.out / MANIFEST, "manifest").get("frames", []) + rows
        return {row["id"]: row for row in rows}


def _sources(frame: Frame) -> tuple[str, str]:
    return file_digest(frame.infrared), file_digest(frame.visible)


def _is_radiometric(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as handle:
        return _FLIR in handle.read(_HEAD)
    return False
