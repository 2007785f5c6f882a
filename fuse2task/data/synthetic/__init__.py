"""Synthetic street scenes for the demo, the tests and CI: registered pairs, labelled, with simple physics."""
