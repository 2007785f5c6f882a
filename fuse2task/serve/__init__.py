"""A page on this machine: two images in, the fused one with boxes and scores out."""
