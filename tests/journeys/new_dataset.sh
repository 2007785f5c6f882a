# Someone who adds a dataset of an own layout, with boxes in VOC and a detector of their own (judge.onnx lies here).
fuse2task data synth source --layout m3fd --count 4 --size 96x64
mkdir -p rig/day1 rig/day2
for day in 1 2; do mkdir "rig/day$day/thermal" "rig/day$day/rgb"; done
for name in 00000 00001; do mv "source/Ir/$name.png" rig/day1/thermal/; mv "source/Vis/$name.png" rig/day1/rgb/; done
for name in 00002 00003; do mv "source/Ir/$name.png" rig/day2/thermal/; mv "source/Vis/$name.png" rig/day2/rgb/; done
mv source/Annotation rig/xml

# 1. Where things lie, in a file: no code.
cat > rig.yaml << 'LAYOUT'
folders:
  - { infrared: thermal, visible: rgb, template: "day1/{}", split: train }
  - { infrared: thermal, visible: rgb, template: "day2/{}", split: test }
truth:
  - { kind: voc, folders: [xml], classes: [People, Car, Bus, Motorcycle, Lamp, Truck] }
LAYOUT
fuse2task data check rig --layout rig.yaml
fuse2task fusion apply --method average --data rig --layout rig.yaml -o fused/average

# 2. The boxes for tools that want another format.
mkdir flat && cp rig/day1/rgb/*.png rig/day2/rgb/*.png flat/
fuse2task data convert rig/xml --images flat --to yolo -o yolo
fuse2task data convert yolo --images flat --to coco -o boxes.json

# 3. An own detector as the judge; classes by name.
cat > class-map.yaml << 'MAP'
person: People
car: Car
MAP
fuse2task detection eval --weights judge.onnx --class-map class-map.yaml --data fused/average --split test \
  -o metrics.json
cat > bench.yaml << 'RECIPE'
datasets:
  rig: { root: rig, layout: rig.yaml }
judges:
  mine: { task: detection, protocol: frozen, weights: judge.onnx, class_map: class-map.yaml }
scores: null
open_test: true
costs: false
intervals: { replicates: 50, level: 0.9, seed: 0 }
RECIPE
fuse2task bench run bench.yaml -o bench
