"""Reading YAML of others: plain values only, and no more of them than a person would write."""

from pathlib import Path
from typing import Any

import yaml

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import one_line, read_text

MAX_BYTES = 128 * 2**10  # the largest shipped recipe has 3 kB; PyYAML reads about 150 kB a second
MAX_NODES = 100_000  # values, aliases counted as what they stand for: a billion laughs is a small file


class _Loader(yaml.SafeLoader):
    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) >= 2**63:  # 1:1:1:... is a number to the base 60, of any length
            raise ValueError("a whole number of more than 63 bits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path, what: str) -> Any:
    """The plain values (dict, list, str, numbers, dates, None) in a YAML file.

    Raises:
        RequestError: missing, not a regular file of at most 128 KiB, not UTF-8, not YAML, a tag that makes other
            objects, more than 100 000 values with aliases written out, or an alias inside itself.
    """
    return parse_yaml(read_text(path, what, MAX_BYTES), f"{path}: not a readable {what} (YAML expected)")


def parse_yaml(text: str, complaint: str) -> Any:
    """The plain values in a YAML text; `complaint` begins the message of the error.

    Raises:
        RequestError: as `read_yaml`.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > MAX_NODES:
                raise RequestError(f"{complaint}: its aliases stand for more than {MAX_NODES} values; write fewer")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RequestError:
        raise
    except Exception as error:  # PyYAML's constructors raise whatever they stumble on, KeyError and IndexError too
        raise RequestError(f"{complaint}: {one_line(error)}") from None


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; an alias inside itself stands for too many."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # until its own size is known
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        known[id(node)] = 1 + sum(_size(child, known) for child in flat)
    return known[id(node)]
