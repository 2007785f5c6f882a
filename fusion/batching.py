"""Which pairs are fused together."""

from collections.abc import Iterable

from fuse2task.data.dataset import Pair


def in_batches(pairs: Iterable[Pair], pixels: int) -> list[list[Pair]]:
    """Groups of pairs of one size, of at most `pixels` pixels each, but of one pair at least.

    A group stands where its first pair stands, and its pairs keep their order, so that the same pairs always give
    the same groups.
    """
    groups: list[list[Pair]] = []
    open_group: dict[tuple[int, int], list[Pair]] = {}
    for pair in pairs:
        width, height = pair.size
        group = open_group.get(pair.size)
        if group is None or (len(group) + 1) * width * height > pixels:
            group = open_group[pair.size] = []
            groups.append(group)
        group.append(pair)
    return groups
