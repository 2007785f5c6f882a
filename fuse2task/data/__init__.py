"""Datasets on disk: layouts, pairs, truth, splits, checks, images and colour, synthetic scenes."""
