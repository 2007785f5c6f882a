"""Segmentation: one recipe for SMP's models, training on fused images, per-class IoU."""
