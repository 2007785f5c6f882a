# Someone with a folder of own infrared and visible images, without labels: fused pictures and scores in minutes.
# (The camera: synthetic scenes, renamed as a stranger's folders are.)
fuse2task data synth camera --layout m3fd --count 3 --size 96x64
mkdir rig && mv camera/Ir rig/thermal && mv camera/Vis rig/rgb

fuse2task doctor
fuse2task data check rig --layout folder --infrared rig/thermal --visible rig/rgb
fuse2task fusion pairs --ir rig/thermal --visible rig/rgb --method average -o fused/average
fuse2task fusion pairs --ir rig/thermal --visible rig/rgb --method laplacian -o fused/laplacian
fuse2task fusion score --ir rig/thermal --visible rig/rgb --fused fused/average --fused fused/laplacian \
  --scores EN,SD,SSIM -o scores.csv
