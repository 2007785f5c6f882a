"""Reading files of others (text, CSV, YAML): bounded size, plain values, one readable message for all damage."""

import csv
import io
import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fuse2task.runtime.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

MAX_TEXT = 64 * 2**20  # bytes of a list, a label file or a table
MAX_JSON = 512 * 2**20  # bytes; COCO's own largest annotation file has 450 MB
MAX_YAML = 128 * 2**10  # bytes; the largest shipped recipe has 3 kB, and PyYAML reads about 150 kB a second
MAX_ARRAYS = 2**30  # bytes of a file of arrays, unpacked: a million detections at ten thresholds have 100 MB
MAX_NODES = 100_000  # values of a YAML file, aliases written out: a billion laughs is a small file
NOT_FETCHED = "; nothing is downloaded, put the file there yourself"
VARIABLE = "FUSE2TASK_TRUST_PICKLE"  # an environment variable, so that worker processes know it too


def check_regular(path: Path, what: str, limit: int | None = None, hint: str = "") -> None:
    """Refuse what would block or never end when it is read: pipes, devices, folders, too large files. RequestError:
    missing, not a regular file, more than `limit` bytes; `what` names its role in the message, `hint` ends it where the
    file is missing."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise RequestError(f"{path}: no such {what}{hint}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path}: not a usable {what} ({reason}); give a regular file") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, device or socket"
        raise RequestError(f"{path}: {kind}, but a regular file is needed as {what}")
    if limit is not None and found.st_size > limit:
        raise RequestError(f"{path}: {found.st_size} bytes; a {what} has at most {limit}; is it the right file?")


def read_text(path: Path, what: str, limit: int = MAX_TEXT) -> str:
    """The text of a UTF-8 file, with or without byte order mark. RequestError: as `check_regular`; unreadable, or not
    UTF-8."""
    check_regular(path, what, limit)
    try:
        return Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: not a readable {what} (UTF-8 text expected): {error}") from None


def trust_pickles(yes: bool = True) -> bool:
    """Let this process and those that it starts read pickled weights; for `--trust-pickle`."""
    if yes:
        os.environ[VARIABLE] = "1"
    return yes


def refuse_untrusted(path: Path) -> None:
    """Raise RequestError for the pickle `path` unless the user trusts it, by `--trust-pickle` or the variable."""
    if os.environ.get(VARIABLE) != "1":
        raise RequestError(
            f"{path}: a pickle, a kind of file that can run code when it is read; give --trust-pickle (or "
            f"{VARIABLE}=1) if you know where it comes from, or weights as .safetensors or .onnx"
        )


def read_arrays(path: Path, what: str, *names: str) -> "dict[str, np.ndarray]":
    """Arrays of an .npz file by name; its directory tells their size before anything is unpacked.

    Raises:
        RequestError: as `check_regular`; damaged, an array is missing or holds Python objects, or more than 1 GiB.
    """
    import numpy as np

    check_regular(path, what)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_ARRAYS:
            raise RequestError(f"{path}: {unpacked} bytes unpacked; refused as a bomb, remove it and run again")
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in names}
    except RequestError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise whatever they stumble on in a damaged archive
        raise RequestError(f"{path}: not a readable {what} ({one_line(error, 120)}); run again without it") from None


def one_line(error: object, most: int = 300) -> str:
    """The text of another library's error on one line, cut to `most` characters; its type if the text is empty."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]} ..."


_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the beginning of one


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs: a quote before what begins like a formula and is no number; see `read_csv`."""
    if not cell.startswith((*_FORMULA, "'")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")) else cell


def read_csv(path: Path, what: str = "table", text: str | None = None) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Columns and rows of a CSV file, all as texts, without the quotes of `harmless`; empty lines are skipped.

    text: the part of the file to read, where the caller has read it. RequestError: as `read_text`; no columns, a
    column twice, or a row of another length.
    """
    text = read_text(path, what, MAX_JSON) if text is None else text
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        columns = tuple(next(reader, ()))
        if not columns or len(set(columns)) < len(columns):
            raise RequestError(f"{path}: no columns, or one that is there twice; fix the {what} or move it away")
        for row in reader:
            if row and len(row) != len(columns):
                raise RequestError(f"{path}, line {reader.line_num}: does not have {len(columns)} fields; fix the line")
            if row:
                rows.append(dict(zip(columns, map(_plain, row), strict=True)))
    except csv.Error as error:
        raise RequestError(f"{path}: not a readable CSV {what} ({one_line(error)}); fix it or move it away") from None
    return columns, rows


_BOOLEAN, _STRING = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"  # `<<`, which may be repeated and overridden


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f"the key {twice!r} is there twice, line {node.start_mark.line + 1} and below")
        for key, _ in node.value:
            if key.tag == _BOOLEAN:  # YAML 1.1 takes on, off, yes and no for truth values; as keys they are names
                key.tag = _STRING
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) >= 2**63:  # 1:1:1:... is a number to the base 60, of any length
            raise ValueError("a whole number of more than 63 bits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path, what: str) -> Any:
    """The plain values (dict, list, str, numbers, dates, None) in a YAML file. RequestError: as `read_text` (at most
    128 KiB); not YAML, a tag that makes other objects, more than 100 000 values with aliases written out, or an alias
    inside itself."""
    return parse_yaml(read_text(path, what, MAX_YAML), f"{path}: not a readable {what} (YAML expected)")


def parse_yaml(text: str, complaint: str) -> Any:
    """The plain values in a YAML text; RequestError: as `read_yaml`, its message begun by `complaint`."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MAX_NODES:
            raise RequestError(f"{complaint}: its aliases stand for more than {MAX_NODES} values; write fewer")
        return loader.construct_document(node)
    except RequestError:
        raise
    except Exception as error:  # PyYAML's constructors raise anything, KeyError and IndexError too
        raise RequestError(f"{complaint}: {one_line(error)}") from None


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; an alias inside itself stands for too many."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # until its own size is known
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_size(child, known) for child in flat)
    return known[id(node)]
