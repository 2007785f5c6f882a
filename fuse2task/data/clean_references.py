"""Clean references of a degraded dataset: the same pairs as they were before rain, snow or haze was put on them."""

from dataclasses import replace

from fuse2task.data import layouts
from fuse2task.data.dataset import Dataset, Pair
from fuse2task.data.images import image_size
from fuse2task.runtime.errors import RequestError, listing


def clean_pairs(dataset: Dataset) -> tuple[Pair, ...]:
    """The dataset's pairs, in order, with the files of the clean references in place of their own.

    In layout awmm these lie in gt_ir/ and gt_vi/ beside ir/ and vi/.

    Raises:
        RequestError: a layout without clean references, no folders of them, no reference for a pair, or one of
            another size; what is wrong with files is listed.
    """
    if not layouts.LAYOUTS[dataset.layout].clean:
        having = ", ".join(name for name, table in layouts.LAYOUTS.items() if table.clean)
        raise RequestError(
            f"{dataset.root}: layout {dataset.layout} has no clean references ({having} has); "
            "refer to the images that were fused instead"
        )
    located = layouts.locate(dataset.root, dataset.layout, clean=True)
    problems = [finding.message for finding in located.findings]
    pairs = []
    for pair in dataset.pairs:
        infrared, visible = located.infrared.get(pair.id), located.visible.get(pair.id)
        if infrared is None or visible is None:
            what = "infrared" if infrared is None else "visible"
            problems.append(f"{pair.infrared}: no clean {what} reference of id {pair.id!r}")
            continue
        for path in (infrared, visible):
            width, height = image_size(path)
            if (width, height) != pair.size:
                problems.append(f"{path}: {width}x{height}, but the degraded pair is {pair.size[0]}x{pair.size[1]}")
        pairs.append(replace(pair, infrared=infrared, visible=visible))
    if problems:
        raise RequestError(f"{dataset.root}: {len(problems)} clean references do not fit\n{listing(problems)}")
    return tuple(pairs)
