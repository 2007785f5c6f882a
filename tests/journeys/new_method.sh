# Someone with a new fusion method: compared as a folder of images, then as a plug-in of twenty lines.
fuse2task data synth scenes --layout m3fd --count 6 --size 96x64

# 1. The images that the method made, named as the pairs are.
fuse2task fusion pairs --method maximum --ir scenes/Ir --visible scenes/Vis -o my-images
fuse2task fusion apply --method mine=my-images --data scenes --layout m3fd --split scenes/split.txt -o fused/mine

# 2. The method itself, in a package of its own.
mkdir warmest
cat > warmest/pyproject.toml << 'PYPROJECT'
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "warmest"
version = "1.0"

[project.entry-points."fuse2task.methods"]
warmest = "warmest:Warmest"

[tool.hatch.build.targets.wheel]
include = ["warmest.py"]
PYPROJECT
cat > warmest/warmest.py << 'PYTHON'
import numpy as np
from fusion.methods import LumaMethod


class Warmest(LumaMethod):
    """Infrared where it is brighter than the visible image by a margin, else the mean of both."""

    name = "warmest"
    margin = 32

    def identity(self):
        return {"name": self.name, "version": 1, "margin": self.margin}

    def fuse_luma(self, infrared, visible):
        mean = (infrared.astype(np.uint16) + visible) // 2
        warm = infrared > visible.astype(np.int16) + self.margin
        return np.where(warm, infrared, mean).astype(np.uint8)
PYTHON
python -m pip install --quiet ./warmest
fuse2task doctor --json | grep warmest
fuse2task fusion apply --method warmest --data scenes --layout m3fd --split scenes/split.txt -o fused/warmest

# 3. Both in one benchmark, beside visible, infrared and average.
cat > compare.yaml << 'RECIPE'
datasets:
  scenes: { root: scenes, layout: m3fd, split: scenes/split.txt }
methods: [warmest, { name: mine, folder: my-images }]
scores: { profile: standard, names: [EN, SSIM] }
open_test: true
costs: false
RECIPE
fuse2task bench run compare.yaml -o bench
