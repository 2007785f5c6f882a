"""Training of CrossFuse in two stages."""
