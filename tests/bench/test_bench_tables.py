"""results.csv under many hands, what may not be compared, costs, ranks and correlations."""

import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fuse2task.bench import analysis as insight
from fuse2task.bench.analysis import compare
from fuse2task.bench.costs import measure_cost
from fuse2task.bench.jobs import Cost, Fuse
from fuse2task.bench.measured import Measured, measure
from fuse2task.bench.recipe import Intervals
from fuse2task.bench.scheduler import rate, record_time
from fuse2task.bench.workspace import Workspace
from fuse2task.results.schema import COSTS, KEYS, RESULTS, TIMINGS, BenchFolder
from fuse2task.results.tables import ResultsTable, identity, read_table
from fuse2task.runtime.errors import RequestError
from fuse2task.tasks import Measurement

INTERVALS = Intervals(replicates=2000)


def row(method: str = "a", value: float = 0.25, **changes) -> dict:
    texts = dict.fromkeys(RESULTS, "x")
    numbers = {"value": value, "ci_low": None, "ci_high": float("nan"), "n_images": 3, "seed": None}
    return {**texts, "method": method, "task": "detection", **numbers, **changes}


def append_some(folder: str, method: str) -> None:
    for number in range(20):
        ResultsTable(Path(folder)).append([row(method, number / 7, metric=f"m{number}")])


def test_floats_and_gaps_come_back_as_they_were(tmp_path):
    table = ResultsTable(tmp_path)
    assert table.read().empty
    table.append([row(value=1 / 3, seed=0), row("b", value=np.float64(0.1))])
    frame = table.read()
    assert frame["value"].tolist() == [1 / 3, 0.1]
    assert frame["seed"].tolist() == ["0", ""]
    assert frame[["ci_low", "ci_high"]].isna().all(axis=None)
    table.append([row("b", value=0.5, run="later", ci_method="bca, other")])
    assert table.read()["value"].tolist() == [1 / 3, 0.5]
    assert identity(row(ci_method="bca, 9")) == identity(row(ci_method="none, 9")) != identity(row(ci_method="bca, 8"))


def test_processes_do_not_lose_each_others_rows(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=append_some, args=(str(tmp_path), name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    frame = ResultsTable(tmp_path).read()
    assert len(frame) == 60
    assert frame["method"].value_counts().to_dict() == {"a": 20, "b": 20, "c": 20}


def test_rows_are_only_ever_added_to_the_file(tmp_path):
    table, path = ResultsTable(tmp_path), tmp_path / "results.csv"
    before = b""
    for number in range(4):
        table.append([row("ab"[number % 2], number / 7, metric=f"m{number % 3}")])
        table.append([])
        after = path.read_bytes()
        assert after.startswith(before)
        assert len(after) > len(before)
        before = after
    ResultsTable(tmp_path).append([row("a", 0.9, metric="m0")])  # a number that is there
    assert path.read_bytes().startswith(before)
    frame = ResultsTable(tmp_path).read()
    assert frame[(frame["method"] == "a") & (frame["metric"] == "m0")]["value"].tolist() == [0.9]


def test_a_torn_append_does_not_count_wherever_it_was_torn(tmp_path):
    whole = tmp_path / "whole"
    ResultsTable(whole).append([row("a")])
    kept = (whole / "results.csv").read_bytes()
    batch = [row("b", 0.5), row("c", 0.75)]
    ResultsTable(whole).append(batch)
    complete = (whole / "results.csv").read_bytes()
    for length in range(len(kept), len(complete) + 1, 7):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / "results.csv").write_bytes(complete[:length])
        (folder / ".results.csv.length").write_text(str(len(kept)))  # what the killed process left
        assert ResultsTable(folder).read()["method"].tolist() == ["a"]
        ResultsTable(folder).append(batch)
        assert (folder / "results.csv").read_bytes() == complete
        assert not (folder / ".results.csv.length").exists()


def test_a_table_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("run,dataset\n1,2\n")
    with pytest.raises(RequestError, match="no column split_hash, truth_hash"):
        ResultsTable(tmp_path).read()
    ResultsTable(tmp_path / "new").append([row()])
    text = (tmp_path / "new" / "results.csv").read_text()
    path.write_text(text.replace("0.25", "much"))
    with pytest.raises(RequestError, match="column value"):
        ResultsTable(tmp_path).read()
    path.write_text(text + "one,two\n")
    with pytest.raises(RequestError, match="line 3"):
        ResultsTable(tmp_path).read()


def means(columns: dict[str, np.ndarray]) -> Measured:
    """Measured means of some values per image."""
    count = len(next(iter(columns.values())))

    def values(mask, weights):
        return {(name, "all", ""): weights @ column[mask] / weights.sum(1) for name, column in columns.items()}

    return measure({"all": np.ones(count, bool)}, INTERVALS, Measurement(values))


def frame_of(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([{**item, "seed": item["seed"] or ""} for item in rows])


@pytest.mark.parametrize("key", KEYS)
def test_rows_of_different_keys_are_not_compared(key):
    rows = frame_of(row("a"), row("b", **{key: "other"}))
    with pytest.raises(RequestError, match=rf"they differ in {key} \({key}: (x|detection), other"):
        compare(rows, lambda _: means({"m": np.arange(4.0)}), "a", INTERVALS)


def test_a_comparison_agrees_with_a_paired_t_test():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.2, 60)
    images = {"base": base, "near": base + rng.normal(0.01, 0.05, 60), "far": base + rng.normal(0.06, 0.05, 60)}
    measured = {name: means({"m": values}) for name, values in images.items()}
    rows = compare(frame_of(*map(row, images)), lambda item: measured[item["method"]], "base", INTERVALS)
    assert sorted(found["a"] for found in rows) == ["far", "near"]
    for found in rows:
        expected = ttest_rel(images[found["a"]], base)
        low, high = expected.confidence_interval()
        assert found["difference"] == pytest.approx((images[found["a"]] - base).mean())
        assert found["ci_low"] == pytest.approx(low, abs=0.004)
        assert found["ci_high"] == pytest.approx(high, abs=0.004)
        assert found["p_value"] == pytest.approx(expected.pvalue, abs=0.02)
        # Of the t test's power: 2.8 standard errors.
        assert found["smallest_detectable"] == pytest.approx(2.8 * (high - low) / 4, rel=0.15)
        assert found["n_images"] == 60


def test_comparisons_need_baseline_and_equal_seeds():
    same = means({"m": np.arange(5.0)})
    with pytest.raises(RequestError, match="no rows of the baseline c"):
        compare(frame_of(row("a"), row("b")), lambda _: same, "c", INTERVALS)
    with pytest.raises(RequestError, match="seeds 0 and 0, 1 differ"):
        compare(
            frame_of(row("a", seed="0"), row("a", seed="1"), row("b", seed="0")), lambda _: same, "a", INTERVALS
        )  # fmt: skip


def test_conditions_have_their_own_images():
    column = np.array([1.0, 2.0, 3.0, 4.0])
    night = np.array([True, True, False, False])

    def values(mask, weights):
        return {("m", "all", ""): weights @ column[mask] / weights.sum(1)}

    found = measure({"all": np.ones(4, bool), "night": night}, INTERVALS, Measurement(values))
    assert found.keys == (("m", "all", "all"), ("m", "all", "night"))
    assert found.points.tolist() == [2.5, 1.5]
    assert found.images.tolist() == [4, 2]
    np.testing.assert_allclose(found.leave_one_out[1], [2, 1, np.nan, np.nan])


def test_distributions_of_other_rows_are_not_taken(tmp_path):
    path, measured = tmp_path / "r.npz", means({"m": np.arange(4.0)})
    assert Measured.load(path, ("a",)) is None
    measured.save(path, ("a", ""))
    assert Measured.load(path, ("b", "")) is None
    again = Measured.load(path, ("a", ""))
    assert again is not None
    assert again.keys == measured.keys
    np.testing.assert_array_equal(again.replicates, measured.replicates)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RequestError, match=r"r\.npz: not a readable file of replicates"):
        Measured.load(path, ("a", ""))
    path.unlink()
    measured.save(path, ("a", ""))
    with np.load(path) as content:
        arrays = dict(content)
    np.savez(path, **(arrays | {"points": arrays["points"][:0]}))
    with pytest.raises(RequestError, match="do not belong together"):
        Measured.load(path, ("a", ""))


def test_ranks_extremes_and_correlations():
    about = {"dataset": "d", "task": "detection", "judge": "j", "truth_hash": "t"}
    rng = np.random.default_rng(1)
    scores = {name: rng.random(30) + index / 3 for index, name in enumerate("abcde")}
    scores["a"][3] = np.nan
    ranking = insight.ranking(about, scores, 0.05)
    assert ranking is not None
    assert ranking["n"] == 29
    assert ranking["ranks"] == sorted(ranking["ranks"], reverse=True)
    assert insight.ranking(about, {name: scores[name] for name in "abcd"}, 0.05) is None
    rows = insight.extremes(about, scores, "c", [f"i{k}" for k in range(30)])
    away = scores["e"] - scores["c"]
    own = [item for item in rows if item["a"] == "e"]
    assert own[0]["image"] == f"i{np.argmax(away)}"
    assert own[0]["difference"] == pytest.approx(away.max())
    assert not [item for item in rows if item["image"] == "i3" and item["a"] == "a"]

    common = {"class": "all", "condition": "all"}
    task = [row(name, value, metric="AP", **common) for name, value in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)]
    quality = [row(name, value, metric="EN", task="quality", judge="standard", **common)
               for name, value in zip("abcd", (4.0, 3.0, 2.0, 1.0), strict=True)]  # fmt: skip
    found = insight.correlations(frame_of(*task, *quality), [frame_of(*task)])
    assert [(item["score"], item["metric"], item["methods"]) for item in found] == [("EN", "AP", 4)]
    assert found[0]["spearman"] == pytest.approx(-1)
    assert found[0]["kendall"] == pytest.approx(-1)


@pytest.mark.slow
def test_costs(tmp_path, tiny_source, recipe_values, make_recipe):
    from fusion.checkpoint import save_crossfuse
    from fusion.network.crossfuse import CrossFuseNetwork

    network = CrossFuseNetwork()
    save_crossfuse(tmp_path / "w.safetensors", network, {})
    for part in ("train", "test"):
        shutil.copytree(tiny_source / part / "vi", tmp_path / "theirs", dirs_exist_ok=True)
    recipe = make_recipe(methods=[{"name": "crossfuse", "checkpoint": str(tmp_path / "w.safetensors")},
                                  {"name": "theirs", "folder": str(tmp_path / "theirs")}])  # fmt: skip
    bench = Workspace(recipe, tmp_path / "run", "cpu")
    found = measure_cost(bench, "tiny", "crossfuse")
    assert found["parameters"] == sum(item.numel() for item in network.parameters())
    # Multiply-accumulates of the convolutions and linear layers, counted at their outputs.
    counted = 0

    def count(module, _, output):
        nonlocal counted
        weights = module.weight.numel() / module.weight.shape[0]
        counted += int(output.numel() * weights)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64))
    assert counted <= found["GMAC"] * 1e9 * 1.001  # the rest is attention itself
    assert found["GMAC"] * 1e9 < 1.5 * counted
    assert found["ms"] > 0
    for method in ("theirs", "average", "average"):
        assert Cost("tiny", method).do(bench) == []
    rows = {item["method"]: item for item in read_table(bench.folder / "costs.csv", COSTS)}
    assert list(rows) == ["theirs", "average"]
    about = {"method": "theirs", "method_hash": bench.method_hash("tiny", "theirs")}
    assert rows["theirs"] == {**dict.fromkeys(COSTS, ""), **about}
    assert Cost("tiny", "theirs").is_done(bench)
    assert rows["average"]["parameters"] == "0"
    assert rows["average"]["GMAC"] == "0.0"


def test_rates_are_those_measured_where_there_are_any(tmp_path):
    folder = BenchFolder(tmp_path)

    def timings():
        return read_table(folder.table("timings"), TIMINGS)

    job, other = Fuse("d", "visible", units=10, guess=0.5), Fuse("d", "other", guess=0.5)
    assert rate(timings(), job) == (0.5, False)
    record_time(folder, job, 30.0)
    record_time(folder, job, 10.0)
    assert rate(timings(), job) == (2.0, True)
    assert rate(timings(), other) == (0.5, False)
