"""Class maps: which class of a judge stands for which class of the truth."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuse2task.config.recipes import configs_folder
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_yaml

ClassMap = Mapping[str, str | None]


@dataclass(frozen=True)
class Matching:
    """Judge class index -> COCO category id of the truth, and the truth classes that the judge lacks."""

    category: Mapping[int, int]
    left_out: tuple[str, ...]


def load_class_map(reference: str) -> dict[str, str | None]:
    """Judge class name -> truth class name, from a YAML file or a shipped map such as `m3fd-coco`. An entry whose value
    is null has a truth class as its key: one that the judge lacks. RequestError: no such map, not YAML, or not a
    mapping of names to names."""
    path, folder = Path(reference), configs_folder() / "class-maps"
    if not os.path.isfile(path):
        shipped = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        if reference not in shipped:
            names = ", ".join(shipped)
            raise RequestError(f"{reference}: no such class map file, and no shipped map of that name ({names})")
        path = shipped[reference]
    content = read_yaml(path, "class map")
    if not isinstance(content, dict) or not content:
        raise RequestError(f"{path}: a class map is YAML with lines `judge class: truth class`")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, str | None):
            raise RequestError(f"{path}: {key!r}: {value!r} is not a pair of class names; put names in quotes")
    return content


def match_classes(
    judge: Sequence[str], truth: Mapping[str, int], class_map: ClassMap | None = None, source: str = "the class map"
) -> Matching:
    """Match the judge's classes (in index order) with those of the truth (name -> category id).

    Without a map every truth class must be a judge class of exactly the same name. With a map a truth
    class without an entry, or written `TruthName: null`, is left out. Several judge classes may map to one.
    RequestError: names that do not match (`source` names the map), or nothing left to predict.
    """
    sides = f"the judge has {', '.join(judge)}; the truth has {', '.join(truth)}"
    if class_map is None:
        if lacking := ", ".join(name for name in truth if name not in judge):
            fix = "give --class-map FILE with lines `judge class: truth class`"
            raise RequestError(f"the judge does not know the truth classes {lacking}; {fix} ({sides})")
        return Matching({judge.index(name): number for name, number in truth.items()}, ())
    mapped = {key: value for key, value in class_map.items() if value is not None}
    if unknown := ", ".join(key for key in mapped if key not in judge):
        raise RequestError(f"{source}: {unknown}: not among the judge's classes ({sides})")
    left_out = classes_left_out(truth, class_map, source)
    return Matching({judge.index(key): truth[value] for key, value in mapped.items()}, left_out)


def classes_left_out(truth: Iterable[str], class_map: ClassMap, source: str = "the class map") -> tuple[str, ...]:
    """Truth classes to which `class_map` maps no judge class. RequestError: a class that the truth does not have, or
    that is both null and mapped; an empty map."""
    names, targets = list(truth), [value for value in class_map.values() if value is not None]
    nulls = [key for key, value in class_map.items() if value is None]
    if absent := ", ".join(name for name in [*targets, *nulls] if name not in names):
        raise RequestError(f"{source}: {absent}: not among the truth's classes ({', '.join(names)})")
    if both := ", ".join(name for name in nulls if name in targets):
        raise RequestError(f"{source}: {both}: both null and mapped; keep one of the two lines")
    if not targets:
        raise RequestError(f"{source}: maps no judge class to a truth class ({', '.join(names)})")
    return tuple(name for name in names if name not in targets)
