"""What every task needs to run: errors, atomic files, devices, seeds, progress, provenance."""
