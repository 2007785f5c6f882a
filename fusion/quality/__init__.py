"""Image-quality scores: small batched functions, profiles that define them, a scorer for whole datasets."""
