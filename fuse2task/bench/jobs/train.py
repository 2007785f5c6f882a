"""Training one judge on one method's images with one seed."""

from pathlib import Path

from fuse2task.bench.jobs.fuse import images_hash
from fuse2task.bench.judges import training_recipe
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.files import read_json
from fuse2task.training.run_folder import NOT_DECISIVE, kept_recipe


def is_trained(bench: Workspace, dataset: str, method: str, judge: str, seed: int) -> bool:
    """Whether the run is finished and was trained on the images that lie there now, by the recipe's judge."""
    folder = bench.training(dataset, method, judge, seed)
    if not ((folder / "card.json").is_file() and (bench.fused(dataset, method) / "manifest.json").is_file()):
        return False
    card = read_json(folder / "card.json", "run card")
    recipe = training_recipe(bench.recipe.judges[judge], bench.fused(dataset, method), seed, bench.device)
    # The same folder by another path, another device: no other run.
    open_keys = ("data", *NOT_DECISIVE)
    wanted, kept = recipe.model_dump(mode="json"), kept_recipe(folder)
    same = all(kept.get(key) == value for key, value in wanted.items() if key not in open_keys)
    return same and card["data"]["manifest_hash"] == images_hash(bench, dataset, method)


def train(bench: Workspace, dataset: str, method: str, judge: str, seed: int) -> None:
    """Write DIR/judges/<dataset>/<method>/<judge>-s<seed>; a finished run there is taken over.

    Raises:
        RequestError: the folder holds a run of another recipe or on other images; what the training refuses.
    """
    section = bench.recipe.judges[judge]
    folder, fused = bench.training(dataset, method, judge, seed), bench.fused(dataset, method)
    if (folder / "recipe.yaml").is_file():
        before = Path(str(kept_recipe(folder).get("data")))
        # The run folder compares texts: the same images by another path are no other run.
        fused = before if before.resolve() == fused.resolve() else fused
    recipe = training_recipe(section, fused, seed, bench.device)
    if section.task == "detection":
        from detection.training import train as train_detector

        train_detector(recipe, folder)
    else:
        from segmentation.training import train as train_segmenter

        train_segmenter(recipe, folder)
