"""The benchmark: datasets x methods x judges x seeds, as one long table with intervals."""
