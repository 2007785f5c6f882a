# Someone with a thermal and a colour camera (judge.onnx lies here): raw recordings of other names and sizes, 16 bits,
# seen from a little to the side, to a report of what fusing them is worth to a detector.
fuse2task data synth scenes --layout m3fd --count 12 --size 160x128
python - << 'RECORDED'
import shutil
from pathlib import Path

import cv2
import numpy as np

# What the cameras saw: kelvin x 100 with a hot and a dead pixel; colour of 1.5 times the size, 6 px left and 4 px down.
aside = np.array([[1.5, 0, -9], [0, 1.5, 6]])
for number, path in enumerate(sorted(Path("scenes/Ir").glob("*.png"))):
    film = ("street", "yard", "gate")[number // 4]
    for folder in ("thermal", "rgb", "labels"):
        Path("raw", folder, film).mkdir(parents=True, exist_ok=True)
    counts = 28500 + 12 * cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16)
    counts[10, 20], counts[50, 70] = 40000, 0
    cv2.imwrite(f"raw/thermal/{film}/TH_{number:03d}.tiff", counts)
    colour = cv2.imread(f"scenes/Vis/{path.name}")
    colour = cv2.warpAffine(colour, aside, (240, 192), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    cv2.imwrite(f"raw/rgb/{film}/CAM_{number:03d}.png", colour)
    shutil.copy(f"scenes/Annotation/{path.stem}.xml", f"raw/labels/{film}/TH_{number:03d}.xml")
RECORDED

# 1. Pairs of them: paired by name, repaired, mapped to 8 bits, registered from the images, truth moved along.
cat > rig.yaml << 'RIG'
infrared: raw/thermal
visible: raw/rgb
match: { infrared: "TH_{id}.tiff", visible: "CAM_{id}.png" }
radiometry: { unit: centikelvin }
bad_pixels: {}
registration: { onto: infrared, frames: 6 }
truth: { boxes: raw/labels, on: infrared }
RIG
fuse2task data import rig.yaml -o pairs
fuse2task data check pairs --layout folder --annotations pairs/annotations.json
fuse2task data split pairs --layout folder --parts train=0.67,test=0.33 --by-sequence -o split.txt

# 2. What fusion is worth to the detector.
cat > class-map.yaml << 'MAP'
person: People
car: Car
MAP
cat > bench.yaml << 'RECIPE'
datasets:
  rig: { root: pairs, layout: folder, annotations: pairs/annotations.json, split: split.txt }
judges:
  mine: { task: detection, protocol: frozen, weights: judge.onnx, class_map: class-map.yaml }
scores: null
open_test: true
costs: false
intervals: { replicates: 50, level: 0.9, seed: 0 }
RECIPE
fuse2task bench run bench.yaml -o bench
fuse2task bench report bench
