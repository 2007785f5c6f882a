# Someone writing a paper: one recipe, every method judged alike, a LaTeX table with intervals, a report.
fuse2task data synth scenes --layout msrs --count 8 --size 64x64
cat > paper.yaml << 'RECIPE'
datasets:
  scenes: { root: scenes, layout: msrs }
methods: [laplacian]
judges:
  unet:
    task: segmentation
    protocol: frozen
    recipe: segmentation/unet-demo
    trained_on: average
    overrides: { epochs: 1, crop: [64, 64] }
scores: { profile: standard, names: [EN, MI] }
open_test: true
costs: false
intervals: { replicates: 100, level: 0.95, seed: 0 }
RECIPE
fuse2task bench run paper.yaml -o results --dry-run
fuse2task bench run paper.yaml -o results
fuse2task bench report results
head -5 results/report/summary.tex
