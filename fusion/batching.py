"""Which images are worked on together."""

from collections.abc import Iterable
from typing import Protocol, TypeVar


class HasSize(Protocol):
    """Anything with a size."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""


Sized = TypeVar("Sized", bound=HasSize)


def in_batches(items: Iterable[Sized], pixels: int) -> list[list[Sized]]:
    """Groups of items of one size, of at most `pixels` pixels each, but of one item at least.

    A group stands where its first item stands, and its items keep their order, so that the same items always give
    the same groups.
    """
    groups: list[list[Sized]] = []
    open_group: dict[tuple[int, int], list[Sized]] = {}
    for item in items:
        width, height = item.size
        group = open_group.get(item.size)
        if group is None or (len(group) + 1) * width * height > pixels:
            group = open_group[item.size] = []
            groups.append(group)
        group.append(item)
    return groups
