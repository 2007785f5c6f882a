"""Training of CrossFuse: its stages, and the samples that they are trained on."""
