"""One training loop for every network: run folders, resuming, devices and processes, curves."""
