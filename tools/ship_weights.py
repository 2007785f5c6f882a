"""Put weights of a training run into the package, with a card that says what they are.

    python tools/ship_weights.py RUN/stage2.safetensors crossfuse-plus --summary TEXT --about about.yaml

`about.yaml` holds what a run cannot know: scores, licences of the data's owners, limits.
"""

import argparse
import json
import subprocess
from pathlib import Path

import yaml

from fuse2task.runtime.files import file_digest, value_hash, write_bytes
from fusion.checkpoint import load_crossfuse, save_crossfuse
from fusion.recipe import FusionRecipe
from fusion.training.samples import gather
from fusion.weights import FOLDER


def main() -> None:
    """Write fusion/weights/NAME.safetensors and NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--summary", required=True)
    parser.add_argument("--about", type=Path, required=True)
    parser.add_argument("--storage", choices=("fp32", "int8"), default="fp32", help="int8: a quarter of the room")
    options = parser.parse_args()
    run = options.weights.parent
    recipe = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    training, held_out = gather(FusionRecipe.model_validate(recipe))
    about = json.loads((run / "card.json").read_text("utf-8"))
    network, _ = load_crossfuse(options.weights)
    target = FOLDER / f"{options.name}.safetensors"
    for source in recipe["data"]:  # names, not where they lay
        root = Path(source["root"])
        source["boxes"] = source["boxes"] and str(root.name / Path(source["boxes"]).relative_to(root))
        source["root"] = root.name
    if started := recipe["stage2"].get("weights"):
        recipe["stage2"]["weights"] = Path(started).name
    through = {}
    if recipe["task"]:
        detector = Path(recipe["task"]["detector"])
        through = {detector.name: file_digest(detector)}
        recipe["task"]["detector"] = detector.name
    digest = save_crossfuse(target, network, recipe, options.storage)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    copied = ("device", "precision", "versions")
    card = {
        "format": "fuse2task.weights", "name": options.name, "summary": options.summary, "network": about["network"],
        "trained_through": through,
        "sha256": file_digest(target), "tensor_hash": digest, "recipe": recipe, "recipe_hash": value_hash(recipe),
        "seed": about["seed"], "commit": commit, "samples": about["samples"], "pairs": about["pairs"],
        "trained_on": sorted(pair.id for pair in training), "held_out": sorted(pair.id for pair in held_out),
        **{key: about[key] for key in copied}, **yaml.safe_load(options.about.read_text("utf-8")),
    }  # fmt: skip
    write_bytes(target.with_suffix(".json"), json.dumps(card, indent=1, ensure_ascii=False).encode() + b"\n")
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, {card['sha256'][:12]}")


if __name__ == "__main__":
    main()
