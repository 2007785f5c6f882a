"""Every long command killed at random moments and finished: as if nothing had happened."""

import itertools
import random

import pytest
from killing import CASES

# One kill each keeps this in CI; `python tests/robustness/killing.py --kills 60` does as many as asked for.
COMMANDS = tuple(CASES)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name"), list(enumerate(COMMANDS)), ids=COMMANDS)
def test_killed_and_run_again_it_ends_as_undisturbed(killing, material, tmp_path, number, name):
    signals = itertools.cycle(killing.SIGNALS[number % 3 :] + killing.SIGNALS[: number % 3])
    tally = killing.disturbed(material, name, tmp_path / "killed", random.Random(number), 1, lambda: next(signals))
    assert sum(tally.kills.values()) == 1
    assert tally.folders == 1
