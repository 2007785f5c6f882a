#!/usr/bin/env bash
# The README's table: every method's images of MSRS/test, judged by one frozen COCO detector against real boxes.
# Usage: msrs_frozen.sh MSRS_ROOT JUDGE CHECKPOINT OUT
set -euo pipefail
data=$1 judge=$2 checkpoint=$3 out=$4
for method in visible infrared average maximum laplacian crossfuse; do
  extra=()
  [ $method = crossfuse ] && extra=(--checkpoint "$checkpoint")
  fuse2task fusion apply --method $method "${extra[@]}" --data "$data" --layout msrs --split msrs-open \
    --boxes "$data/boxes/fusion" -o "$out/$method"
  fuse2task detection eval --weights "$judge" --data "$out/$method" --split test -o "$out/$method-frozen.json"
done
# SeAFusion's authors fused 31 of these pairs: all methods again on just those.
mkdir -p "$out/31"
for image in "$data"/fused/SeAFusion/*.png; do printf 'test\t%s\n' "$(basename "$image" .png)"; done > "$out/31/split.txt"
for method in visible infrared average maximum laplacian crossfuse "SeAFusion=$data/fused/SeAFusion"; do
  name=${method%%=*} extra=()
  [ $name = crossfuse ] && extra=(--checkpoint "$checkpoint")
  fuse2task fusion apply --method "$method" "${extra[@]}" --data "$data" --layout msrs --split "$out/31/split.txt" \
    --boxes "$data/boxes/fusion" -o "$out/31/$name"
  fuse2task detection eval --weights "$judge" --data "$out/31/$name" --split test -o "$out/31/$name-frozen.json"
done
