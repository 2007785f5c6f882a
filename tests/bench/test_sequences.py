"""Whole sequences of frames are resampled where a dataset states them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, friedmanchisquare

from fuse2task.bench.analysis import ranking
from fuse2task.bench.api import run_bench
from fuse2task.bench.datasets import find_sequences, load_bench_dataset
from fuse2task.bench.measured import measure
from fuse2task.bench.recipe import Intervals
from fuse2task.data.dataset import Pair
from fuse2task.results.tables import ResultsTable, comparable_groups
from fuse2task.runtime.errors import RequestError
from fuse2task.tasks import Measurement

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def pairs(*sequences: str) -> list[Pair]:
    return [Pair(f"{i:03d}", "test", Path("i"), Path("v"), (9, 9), sequence=s) for i, s in enumerate(sequences)]


def mean_of(column: np.ndarray) -> Measurement:
    return Measurement(lambda mask, weights: {("m", "all", ""): weights @ column[mask] / weights.sum(1)})


def test_intervals_cover_with_sequences_and_not_with_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of benchmarks/sequences.py: fewer covered of 200 has a chance below 1 in 1000 at 92 %."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("sequences", BENCHMARKS / "sequences.py")
    simulation = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, simulation)
    spec.loader.exec_module(simulation)
    monkeypatch.setattr(simulation, "POPULATION", 4000)
    found = simulation.simulate(200, sequences=20, frames=10, replicates=200, parts="mIoU mean")
    for by_frames, by_sequences, line in found.values():
        assert by_sequences >= binom.ppf(0.001, 200, 0.92) / 200, line
        assert by_frames < 0.75, line


def test_equal_to_a_loop_over_drawn_sequences() -> None:
    """Sequences of unequal length: quantiles as of a loop that joins the frames of drawn ones, the jackknife exact."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 9, 14)
    labels = np.repeat(np.arange(14), lengths).astype(str)
    order = rng.permutation(len(labels))
    column, labels = (
        (rng.normal(size=14)[labels.astype(int)] + 0.1 * rng.normal(size=len(labels)))[order],
        labels[order],
    )
    night = np.isin(labels, np.arange(11).astype(str))
    conditions = {"all": np.ones(len(labels), bool), "night": night, "few": np.isin(labels, ["3", "5"])}
    found = measure(conditions, Intervals(replicates=4000), mean_of(column), labels.tolist())
    for number, mask in enumerate((conditions["all"], night)):
        groups = [column[mask & (labels == name)] for name in dict.fromkeys(labels[mask])]
        draws = [np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]) for _ in range(4000)]
        expected = np.quantile([frames.mean() for frames in draws], [0.025, 0.25, 0.5, 0.75, 0.975])
        spread = found.replicates[number].std()
        assert np.quantile(found.replicates[number], [0.025, 0.25, 0.5, 0.75, 0.975]) == pytest.approx(
            expected, abs=0.12 * spread
        )
        without = [np.concatenate([*groups[:i], *groups[i + 1 :]]).mean() for i in range(len(groups))]
        np.testing.assert_allclose(
            np.sort(found.leave_one_out[number]), np.sort(without + [np.nan] * (14 - len(groups)))
        )
    assert found.points[2] == pytest.approx(column[conditions["few"]].mean())
    assert np.isnan(found.replicates[2]).all()  # two sequences: no interval


def test_single_frames_are_images() -> None:
    column = np.random.default_rng(0).normal(size=15)
    both = [measure({"all": np.ones(15, bool)}, Intervals(), mean_of(column), labels)
            for labels in (None, [str(i) for i in range(15)])]  # fmt: skip
    np.testing.assert_array_equal(both[0].replicates, both[1].replicates)
    np.testing.assert_array_equal(both[0].leave_one_out, both[1].leave_one_out)


def test_what_is_resampled(capsys: pytest.CaptureFixture[str]) -> None:
    enough, few = pairs(*"aabbccddeeffgghhi", ""), pairs("a", "a", "b", "")
    assert find_sequences("d", enough, Intervals()) == (*"aabbccddeeffgghhi", "/017")
    assert find_sequences("d", enough, Intervals(resample="images")) is None
    assert find_sequences("d", pairs("", ""), Intervals()) is None
    assert capsys.readouterr().err == ""
    assert find_sequences("d", few, Intervals()) is None
    assert "datasets.d: 2 sequences are known of 4 evaluated images, 10 are needed" in capsys.readouterr().err
    for given, count in ((few, "2"), (pairs("", ""), "no")):
        with pytest.raises(RequestError, match=rf"datasets.d: {count} sequences .* at least 10; .*intervals.resample"):
            find_sequences("d", given, Intervals(resample="sequences"))


def test_recipes_keep_their_ids(make_recipe, recipe_values) -> None:
    before, values = make_recipe(), recipe_values()["intervals"]
    assert "resample" not in before.model_dump()["intervals"]
    ids = [make_recipe(intervals=values | {"resample": kind}).id for kind in ("auto", "images", "sequences")]
    assert ids[0] == before.id
    assert len(set(ids)) == 3


def test_ranks_have_sequences_as_blocks() -> None:
    rng = np.random.default_rng(2)
    scores = {f"m{i}": rng.normal(size=60) + 0.3 * i for i in range(5)}
    scores["m0"][7] = np.nan
    labels = [f"s{i // 5}" for i in range(60)]
    about = {"dataset": "d", "task": "detection", "judge": "j", "truth_hash": "t"}
    found = ranking(about, scores, 0.05, labels)
    means = pd.DataFrame(scores).dropna().groupby(np.delete(labels, 7), sort=False).mean()
    assert (found["blocks"], found["n"]) == ("sequences", 12)
    assert found["p_value"] == pytest.approx(friedmanchisquare(*means.to_numpy().T).pvalue)
    assert ranking(about, scores, 0.05)["n"] == 59


@pytest.mark.slow
def test_a_run_over_sequences(tmp_path, make_recipe, recipe_values, tiny_source) -> None:
    layout = tmp_path / "films.yaml"
    layout.write_text(
        "folders: [{template: 'train/{}', infrared: ir, visible: vi, split: train}, "
        "{template: 'test/{}', infrared: ir, visible: vi}]\nsequence: '([0-9]{5})[DN]'\n"
    )
    values = recipe_values()
    values["datasets"]["tiny"]["layout"] = str(layout)
    values["scores"], values["conditions"] = {"names": ["EN"]}, [{"kind": "hotpixel", "levels": [0, 5]}]
    folder, tables = tmp_path / "run", {}
    for resample in ("images", "auto"):
        recipe = make_recipe(**values | {"intervals": values["intervals"] | {"resample": resample}})
        assert load_bench_dataset("tiny", recipe).resampled == {"images": "images", "auto": "12 sequences"}[resample]
        assert run_bench(recipe, folder)
        tables[resample] = {name: pd.read_csv(folder / f"{name}.csv") for name in ("comparisons", "robustness")}
    rows = ResultsTable(folder).read()
    assert set(rows["resampled"]) == {"images", "12 sequences"}
    for group in comparable_groups(rows):
        assert group.results["resampled"].nunique() == 1
    # Every sequence is one image here: the numbers are the same, and nothing is taken from the other kind.
    for name in ("comparisons", "robustness"):
        first, second = (tables[kind][name].drop(columns=["run", "resampled"], errors="ignore") for kind in tables)
        pd.testing.assert_frame_equal(first, second)
    assert set(tables["auto"]["comparisons"]["resampled"]) == {"12 sequences"}
