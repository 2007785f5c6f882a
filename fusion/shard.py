"""Which part of a dataset a process works on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fuse2task.runtime.errors import RequestError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`i/n` with 1 <= i <= n.

        Raises:
            RequestError: the text is not of that form.
        """
        index, separator, count = text.partition("/")
        if separator and re.fullmatch(r"[0-9]{1,6}/[0-9]{1,6}", text) and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise RequestError(f"--shard {text}: give i/n with i from 1 to n, such as 1/4")

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `count`-th item, from the `index`-th on."""
        return items[self.index - 1 :: self.count]
