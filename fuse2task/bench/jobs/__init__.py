"""The kinds of work of a benchmark, one module each; they return rows of the results table."""
