"""Import of two cameras' recordings: pairs of one size and 8 bits for every command, and a record of what was done."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fuse2task.config.recipes import Recipe
from fuse2task.data.dataset import Pair, files_below
from fuse2task.data.degradation.geometry import Size
from fuse2task.data.images import (
    CAMERAS,
    Camera,
    encode_png,
    image_header,
    read_counts,
    read_infrared,
    read_visible,
)
from fuse2task.data.truth.coco import coco_truth
from fuse2task.rig.geometry import Alignment, common_grid
from fuse2task.rig.pairing import Frame, Match, Paired, pair_files, spread
from fuse2task.rig.radiometry import BadPixels, Radiometry, ToneMap, bad_pixels, repaired, set_histogram
from fuse2task.rig.registration import Registration, align
from fuse2task.rig.residual import blink, contact_sheet, residual, summary
from fuse2task.rig.truth import RecordedTruth, Truth, read_truth
from fuse2task.runtime import files
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import by_content, bytes_digest, file_digest, lines_hash, read_json
from fuse2task.runtime.overlap import SPARE, ahead, threads
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import Meter, say
from fuse2task.runtime.records import begun, differing, refuse

FORMAT = "fuse2task.import"
MANIFEST = "import.json"
BAD_PIXELS, ALIGNMENT, ANNOTATIONS, MASKS = "bad_pixels.csv", "alignment.json", "annotations.json", "masks"
SHEET, BLINK = "contact_sheet.png", "blink.gif"
ON_SHEET = 9  # frames
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "scipy")
_FLIR = b"FLIR\x00\x01"  # begins a block of a radiometric JPEG (R-JPEG)
_HEAD = 65536  # bytes in which the first block lies


class ImportRecipe(Recipe):
    """What `data import` does. infrared, visible: folders, which may be one; paths are those of the working directory.
    Without radiometry, 8-bit infrared stays as it is, and 16-bit infrared is mapped by `Radiometry`'s defaults. Without
    registration the pairs must be of one size, and stay as they are."""

    infrared: str
    visible: str
    match: Match = Match()
    radiometry: Radiometry | None = None
    bad_pixels: BadPixels | None = None
    registration: Registration | None = None
    truth: Truth | None = None

    def folder(self, camera: Camera) -> Path:
        """Where the files of a camera lie."""
        return Path(self.infrared if camera == "infrared" else self.visible)


def import_pairs(recipe: ImportRecipe, out: Path) -> dict[str, Any]:
    """Write the pairs of a recording to `out` in layout folder; a second run checks and repairs them.

    `out/infrared/` and `out/visible/` hold them, a sequence's frames in a folder of its name, so that ids begin with
    it; what nothing changes is copied byte for byte, all else is PNG. Truth goes to `out/annotations.json` (COCO) or
    `out/masks/`. `out/alignment.json` and `out/bad_pixels.csv` serve for new frames of the rig, `out/contact_sheet.png`
    and `out/blink.gif` for the eye. `out/import.json`, which is returned, tells the recipe, what was found by it, and
    each file's source and hash.

    RequestError: as `pair_files` and the parts of `fuse2task.rig`; pairs of unequal size without a registration, a
    registration that its own error bar says has failed, or an `out` that holds something else or overlaps what is read.
    """
    truth = recipe.truth and (recipe.truth.boxes or recipe.truth.masks)
    files.refuse_overlap(out, *map(recipe.folder, CAMERAS), Path(truth) if truth else None)
    paired = pair_files(recipe.folder("infrared"), recipe.folder("visible"), recipe.match)
    return _Import(recipe, paired, Path(out)).run()


@dataclass(frozen=True)
class _Treatment:
    """What happens to the frames. alignments: by id, or one for all under "", onto the pixels of the camera `onto`."""

    tone: ToneMap | None
    bad: np.ndarray
    alignments: Mapping[str, Alignment]
    onto: Camera = "visible"
    truth: RecordedTruth | None = None

    def alignment(self, frame: Frame) -> Alignment | None:
        return self.alignments.get(frame.id) or self.alignments.get("")

    def images(self, frame: Frame) -> dict[Camera, np.ndarray]:
        """The recorded images, defects repaired."""
        deep = self.tone is not None
        infrared = repaired(read_counts(frame.infrared) if deep else read_infrared(frame.infrared), self.bad)
        return {"infrared": infrared, "visible": read_visible(frame.visible)}

    def finished(self, images: Mapping[Camera, np.ndarray], alignment: Alignment | None) -> dict[Camera, np.ndarray]:
        """The images of a pair: on one grid, and of 8 bits; counts are resampled as counts."""
        done = {
            camera: image if alignment is None else alignment.apply(image, camera) for camera, image in images.items()
        }
        if self.tone is not None:
            done["infrared"] = self.tone.apply(done["infrared"])
        return done

    def changes(self, camera: Camera) -> bool:
        radiometric = self.tone is not None or len(self.bad) > 0
        return bool(self.alignments) or (camera == "infrared" and radiometric)


class _Looks(Sequence[tuple[np.ndarray, np.ndarray]]):
    """Images of frames to register by, infrared of 8 bits; each is read when it is asked for."""

    def __init__(self, frames: Sequence[Frame], treatment: _Treatment):
        self.frames, self.treatment = frames, treatment

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: Any) -> Any:
        images = self.treatment.finished(self.treatment.images(self.frames[number]), None)
        return images["infrared"], images["visible"]


class _Import:
    """One import being written."""

    def __init__(self, recipe: ImportRecipe, paired: Paired, out: Path):
        self.recipe, self.paired, self.out, self.work = recipe, paired, out, out / ".fuse2task"
        self.frames: Sequence[Frame] = paired.frames
        self.failed: dict[str, float | None] = {}  # error bar of frames that are left out
        self.infrared = [frame.infrared for frame in self.frames]
        self.sizes = self._checked_sizes()
        self.sources = self._digests()
        settings = recipe.model_dump(mode="json", exclude={"infrared", "visible"})
        self.plan: dict[str, Any] = {
            "format": FORMAT, "recipe": by_content(settings), "pairs": len(self.frames),
            "content": lines_hash(f"{name}\t{first}\t{second}" for name, (first, second) in self.sources.items()),
            "versions": versions(*_PACKAGES),
        }  # fmt: skip
        if recipe.truth is not None:
            place = Path(str(recipe.truth.boxes or recipe.truth.masks))
            found = [place] if place.is_file() else files_below(place)
            self.plan["truth"] = lines_hash(f"{path.relative_to(place)}\t{file_digest(path)}" for path in found)

    def run(self) -> dict[str, Any]:
        """Write what is missing or differs."""
        with files.filling(self.out, self.plan, self._refuse_foreign):
            return self._written()

    def _checked_sizes(self) -> dict[Camera, tuple[int, int]]:
        """(width, height) of each camera's files, from their headers."""
        problems, sizes = [], dict[Camera, tuple[int, int]]()
        registration = self.recipe.registration
        of_one_size = registration is not None and not registration.per_frame
        for frame in self.frames:
            found: dict[Camera, tuple[int, int]] = {
                "infrared": image_header(frame.infrared)[0], "visible": image_header(frame.visible)[0],
            }  # fmt: skip
            for camera, size in found.items():
                known = sizes.setdefault(camera, size)
                single = of_one_size or (camera == "infrared" and self.recipe.bad_pixels is not None)
                if single and size != known:
                    problems.append(
                        f"{frame.file(camera)}: {size[0]}x{size[1]}, but the first one is {known[0]}x{known[1]}"
                    )
            (width, height), other = found.values()
            if registration is None and (width, height) != other:
                problems.append(f"{frame.infrared}: {width}x{height}, but {frame.visible} is {other[0]}x{other[1]}")
        if problems:
            fix = "import each size apart" if registration is not None else "the recipe needs a registration"
            raise RequestError(f"{len(problems)} images are of another size; {fix}\n{listing(problems)}")
        return sizes

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
        done, before = self._journalled()
        held = {frame.id for frame in self.frames if self._holds(done.get(frame.id))}
        whole = bool(before) and all(frame.id in held or frame.id in before.get("failed", {}) for frame in self.frames)
        if whole and self._are({self.out / name: digest for name, digest in before["files"].items()}):
            return before
        treatment, found = self._survey()
        missing = [frame for frame in self.frames if frame.id not in held]
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
        rows = [done[frame.id] for frame in self.frames]
        extra = self._write_extra(treatment, rows)
        found["failed"] = self.failed
        manifest = {**self.plan, **found, **self._pairing(), "residuals": summary(rows), "frames": rows}
        manifest["files"] = {path.name: file_digest(path) for path in extra}
        files.write_json(self.out / MANIFEST, manifest)
        (self.work / "journal.jsonl").unlink()
        return manifest

    def _survey(self) -> tuple[_Treatment, dict[str, Any]]:
        """What the whole set decides, and the manifest's words for it."""
        self._look_for_radiometric()
        section = self.recipe.radiometry
        if section is None and read_counts(self.infrared[0]).dtype == np.uint16:
            section = Radiometry()
        bad, tone = np.zeros((0, 2), int), None
        if self.recipe.bad_pixels is not None:
            bad = bad_pixels(self.infrared, self.recipe.bad_pixels, self.sizes["infrared"])
        if section is not None:
            tone = ToneMap(section)
            if not section.per_frame:
                tone = ToneMap.of(section, set_histogram(self.infrared, bad))
        treatment = _Treatment(tone, bad, {})
        if self.recipe.registration is not None:
            alignments = self._registered(self.recipe.registration, treatment)
            treatment = replace(treatment, alignments=alignments, onto=self.recipe.registration.onto)
        if self.recipe.truth is not None:
            folder = self.recipe.folder(self.recipe.truth.on)
            treatment = replace(treatment, truth=read_truth(self.recipe.truth, self.paired.frames, folder))
        return treatment, {"radiometry": tone and tone.as_json(), "bad_pixels": bad.tolist()}

    def _registered(self, section: Registration, treatment: _Treatment) -> dict[str, Alignment]:
        found: dict[str, Alignment] = {}
        failed: dict[str, float | None] = {}
        if section.per_frame:
            with Meter("registration", len(self.frames)) as meter:
                for frame in self.frames:
                    try:
                        found[frame.id] = align(section, _Looks([frame], treatment))
                    except RequestError:  # nothing in common
                        if section.failed == "refuse":
                            raise
                        failed[frame.id] = None
                    meter.advance()
        else:
            found = {"": align(section, _Looks(spread(self.frames, section.frames), treatment))}
        failed |= {name: way.error for name, way in found.items() if way.failed}
        kept = {name: way for name, way in found.items() if name not in failed}
        if failed and (section.failed == "refuse" or not kept):
            fix = "give `points`, a `file`, or frames with more edges in common"
            fix += "; `registration.failed: drop` leaves such frames out" if section.per_frame else ""
            problems = (
                f"{name or 'all frames'}: a corner may be off by {'?' if error is None else f'{error:.1f}'} px"
                for name, error in failed.items()
            )
            raise RequestError(f"{self.recipe.infrared}: registration failed; {fix}\n{listing(problems)}")
        self.failed = failed
        self.frames = [frame for frame in self.frames if frame.id not in failed]
        return kept

    def _look_for_radiometric(self) -> None:
        radiometric = [path for path in self.infrared if _is_radiometric(path)]
        if radiometric:
            text = f"{radiometric[0]}: a FLIR radiometric JPEG, of which only the 8-bit picture can be read"
            fix = "export it as 16-bit TIFF or PNG (ThermImageJ, exiftool -RawThermalImage) to use its counts"
            if self.recipe.radiometry is not None:
                raise RequestError(f"{text}; {fix}")
            say(f"note: {len(radiometric)} such files, {text}; {fix}")

    def _write_extra(self, treatment: _Treatment, rows: Sequence[dict[str, Any]]) -> list[Path]:
        """What serves for new frames of the rig and for the eye, and truth in one file."""
        written = [self.out / SHEET, self.out / BLINK]
        shown = {_caption(row): self._pair(row) for row in spread(rows, ON_SHEET)}
        files.write_bytes(written[0], encode_png(contact_sheet(shown)))
        files.write_bytes(written[1], blink(*self._pair(rows[len(rows) // 2])))
        if self.recipe.bad_pixels is not None:
            written.append(self.out / BAD_PIXELS)
            files.write_text(written[-1], "x,y\n" + "".join(f"{x},{y}\n" for x, y in treatment.bad.tolist()))
        if "" in treatment.alignments:
            written.append(self.out / ALIGNMENT)
            treatment.alignments[""].save(written[-1])
        if treatment.truth is not None and treatment.truth.section.boxes is not None:
            moved = treatment.truth.boxes({frame.id: treatment.alignment(frame) for frame in self.frames})
            paths = [self.out / row["visible"]["path"] for row in rows]
            pairs = [
                Pair(frame.id, "test", path, path, image_header(path)[0])
                for frame, path in zip(self.frames, paths, strict=True)
            ]
            written.append(self.out / ANNOTATIONS)
            files.write_json(written[-1], coco_truth(pairs, moved), sort_keys=False)
        if treatment.truth is not None and treatment.truth.section.masks is not None:
            names = "".join(f"{number} {name}\n" for number, name in enumerate(treatment.truth.classes))
            files.write_text(self.out / MASKS / "classes.txt", names)
        return written

    def _pairing(self) -> dict[str, Any]:
        dropped = {camera: [self._name(camera, path) for path in self.paired.dropped[camera]] for camera in CAMERAS}
        sequences = Counter(frame.sequence for frame in self.frames)
        return {"dropped": dropped, "unused": dict(self.paired.unused), "sequences": dict(sorted(sequences.items()))}

    def _name(self, camera: Camera, path: Path) -> str:
        """A source's path below its camera's folder."""
        return path.relative_to(self.recipe.folder(camera)).as_posix()

    def _write(self, frame: Frame, treatment: _Treatment) -> dict[str, Any]:
        row: dict[str, Any] = {"id": frame.id, "sequence": frame.sequence}
        if frame.apart is not None:
            row["apart"] = frame.apart
        alignment = treatment.alignment(frame)
        recorded = treatment.images(frame)  # what is copied is decoded, too: a damaged file ends the import
        try:
            images = treatment.finished(recorded, alignment)
            if alignment is not None:
                before = treatment.finished(
                    recorded, _same_field(*(alignment.views[camera].size for camera in CAMERAS), treatment.onto)
                )
                found = [residual(pair["infrared"], pair["visible"]) for pair in (before, images)]
                row["residual"] = [one.as_json() for one in found]
                row["mutual_information"] = [round(one.mutual_information, 4) for one in found]
                if frame.id in treatment.alignments:
                    row["alignment"] = alignment.as_json()
        except RequestError as error:
            raise RequestError(f"{frame.infrared}, {frame.visible}: {error}") from None
        for camera, digest in zip(CAMERAS, self.sources[frame.id], strict=True):
            source = frame.file(camera)
            changed = treatment.changes(camera)
            data = encode_png(images[camera]) if changed else source.read_bytes()
            put = self._put(camera, frame, ".png" if changed else source.suffix.lower(), data)
            row[camera] = {**put, "source": self._name(camera, source), "source_sha256": digest}
        if treatment.truth is not None and treatment.truth.section.masks is not None:
            row["mask"] = self._put(MASKS, frame, ".png", encode_png(treatment.truth.mask(frame.id, alignment)))
        return row

    def _pair(self, row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Infrared and visible image as they were written."""
        return read_infrared(self.out / row["infrared"]["path"]), read_visible(self.out / row["visible"]["path"])

    def _put(self, folder: str, frame: Frame, suffix: str, data: bytes) -> dict[str, str]:
        target = Path(folder, frame.sequence, f"{frame.name}{suffix}")
        files.write_bytes(self.out / target, data)
        return {"path": target.as_posix(), "sha256": bytes_digest(data)}

    def _holds(self, row: dict[str, Any] | None) -> bool:
        """Whether the files that a row tells of are as they were written."""
        written = [part for name in (*CAMERAS, "mask") if row and (part := row.get(name))]
        return row is not None and self._are({self.out / part["path"]: part["sha256"] for part in written})

    def _are(self, digests: Mapping[Path, str]) -> bool:
        return all(path.is_file() and file_digest(path) == digest for path, digest in digests.items())

    def _refuse_foreign(self) -> None:
        if (before := begun(self.out, MANIFEST)) is not None:
            refuse(self.out, "an import", differing({key: before.get(key) for key in self.plan}, self.plan))

    def _journalled(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Rows by id, and the manifest of a finished import."""
        rows = files.journal_rows(self.work / "journal.jsonl")
        manifest = read_json(self.out / MANIFEST, "manifest") if (self.out / MANIFEST).is_file() else {}
        return {row["id"]: row for row in (*manifest.get("frames", []), *rows)}, manifest


def _sources(frame: Frame) -> tuple[str, str]:
    return file_digest(frame.infrared), file_digest(frame.visible)


@lru_cache(maxsize=1)  # of a rig all frames have the same
def _same_field(infrared: Size, visible: Size, onto: Camera) -> Alignment:
    """What would be done if cameras of these sizes saw the same field, to compare with."""
    return common_grid({"infrared": infrared, "visible": visible}, onto=onto)


def _caption(row: Mapping[str, Any]) -> str:
    after = row.get("residual", [None, None])[1]
    return row["id"] + ("" if after is None else f": {np.hypot(*after):.1f} px")


def _is_radiometric(path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as handle:
        return _FLIR in handle.read(_HEAD)
    return False
