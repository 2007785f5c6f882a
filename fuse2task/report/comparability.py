"""Which rows may stand in one table, and why others may not."""

import pandas as pd

from fuse2task.results.groups import Group

SPOKEN = {
    "split_hash": "split",
    "truth_hash": "truth",
    "image_size": "image size",
    "color": "colour mode",
    "protocol": "protocol",
    "judge": "judge",
    "judge_hash": "hash of the judge",
    "recipe_hash": "hash of the evaluation recipe",
}
WARNED = {"versions_hash": "package versions"}


def families(groups: list[Group]) -> list[tuple[Group, list[Group]]]:
    """Groups of one dataset, split, size, colour, task and protocol: the one to read first, and other truths or judges.

    First is the first with the primary truth. A group that differs in something else (another recipe of the same
    judge) is no check of sensitivity and stands for itself. Image scores are not in here.
    """
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in sorted(groups, key=lambda group: not group.primary):
        keys = group.keys
        if keys["task"] != "quality":
            family = tuple(keys[key] for key in ("dataset", "split_hash", "image_size", "color", "task", "protocol"))
            found.setdefault(family, []).append(group)
    pairs = []
    for members in found.values():
        seen: dict[tuple[str, str], Group] = {}
        extra = []
        for group in members:
            if seen.setdefault((group.keys["judge"], group.keys["truth_hash"]), group) is not group:
                extra.append(group)
        first, *others = seen.values()
        pairs += [(first, others), *((group, []) for group in extra)]
    return pairs


def refusals(groups: list[Group]) -> list[str]:
    """One sentence for each dataset and task whose rows cannot share a table: which keys differ, and their values."""
    families: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        families.setdefault((group.keys["dataset"], group.keys["task"]), []).append(group)
    sentences = []
    for (dataset, task), members in families.items():
        if len(members) == 1 or task == "quality":  # profiles define different scores; nobody takes them for one table
            continue
        reasons = []
        for key, spoken in SPOKEN.items():
            values = list(dict.fromkeys(_shown(group, key) for group in members))
            if len(values) > 1 and not (key in ("judge_hash", "recipe_hash") and _follows_judge(members, key)):
                reasons.append(f"{spoken} ({', '.join(values)})")
        sentences.append(
            f"{dataset} {task}: {len(members)} tables that are not ranked together, because they differ in "
            f"{'; '.join(reasons)}."
        )
    return sentences


def warnings(groups: list[Group], results: pd.DataFrame) -> list[str]:
    """What does not forbid a comparison but weakens it."""
    sentences = []
    for group in groups:
        for column, spoken in WARNED.items():
            values = sorted(set(group.results[column]))
            if len(values) > 1:
                sentences.append(f"{group.title}: rows were made with different {spoken} ({', '.join(values)}).")
    for (dataset, method), rows in results.groupby(["dataset", "method"], sort=False):
        hashes = list(dict.fromkeys(rows["method_hash"]))
        if len(hashes) > 1:
            sentences.append(
                f"{dataset}: results.csv has {method} in {len(hashes)} versions (hashes {', '.join(hashes)}); "
                "each table shows the one written last."
            )
    return sentences


def _shown(group: Group, key: str) -> str:
    return (group.truth if key == "truth_hash" else group.keys[key]) or "none"


def _follows_judge(members: list[Group], key: str) -> bool:
    """Whether the hash is told by judge and protocol, so that naming these says it all."""
    pairs = {(group.keys["judge"], group.keys["protocol"], group.keys[key]) for group in members}
    return len({pair[:2] for pair in pairs}) == len(pairs)
