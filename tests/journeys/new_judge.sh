# Someone with a detector of their own: a plug-in of twenty lines, its results as files, both in one benchmark.
fuse2task data synth scenes --layout m3fd --count 6 --size 96x64
fuse2task fusion apply --method average --data scenes --layout m3fd --split scenes/split.txt -o fused/average

# 1. The judge in a package of its own.
mkdir hotspots
cat > hotspots/pyproject.toml << 'PYPROJECT'
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "hotspots"
version = "1.0"

[project.entry-points."fuse2task.judges"]
hotspots = "hotspots:Hotspots"

[tool.hatch.build.targets.wheel]
include = ["hotspots.py"]
PYPROJECT
cat > hotspots/hotspots.py << 'PYTHON'
import cv2
import numpy as np
from fuse2task.judges import DetectionJudge


class Hotspots(DetectionJudge):
    """What is bright is a person; a stand-in for your detector."""

    classes = ("People", "Car")

    def __init__(self, level: int = 150):
        self.level = level

    def identity(self):
        return {"name": "hotspots", "version": 1, "level": self.level}

    def detect(self, image):
        bright = (image.mean(axis=2) > self.level).astype(np.uint8)
        x, y, w, h, _ = cv2.connectedComponentsWithStats(bright)[2][1:].T
        boxes = np.stack([x, y, x + w, y + h], axis=1)
        scores = [image[b[1] : b[3], b[0] : b[2]].mean() / 255 for b in boxes]
        return boxes, scores, ["People"] * len(boxes)
PYTHON
python -m pip install --quiet ./hotspots
fuse2task doctor --json | grep hotspots
cat > people.yaml << 'MAP'
People: People
Car: Car
Bus: null
Motorcycle: null
Lamp: null
Truck: null
MAP
fuse2task detection eval --plugin hotspots --option level=140 --class-map people.yaml --data fused/average --split test -o metrics.json

# 2. Two judges in one benchmark.
cat > judged.yaml << 'RECIPE'
datasets:
  scenes: { root: scenes, layout: m3fd, split: scenes/split.txt }
judges:
  low: { task: detection, plugin: hotspots, options: { level: 140 }, class_map: people.yaml }
  high: { task: detection, plugin: hotspots, options: { level: 180 }, class_map: people.yaml }
scores: null
open_test: true
costs: false
intervals: { replicates: 50, level: 0.95, seed: 0 }
RECIPE
fuse2task bench run judged.yaml -o bench

# 3. What the first one wrote, as if it had run elsewhere.
mkdir mine
for method in visible infrared average; do
  cp bench/predictions/scenes/$method/low/dets.json mine/$method.json
done
sed 's|  high:.*|  mine: { task: detection, predictions: "mine/{method}.json", class_map: people.yaml }|' judged.yaml > again.yaml
fuse2task bench run again.yaml -o bench
fuse2task bench report bench
