"""Submissions: what is packed, what is refused, one table of several."""

import json
import shutil

import pytest
import yaml

from fuse2task.bench.api import run_bench
from fuse2task.bench.statistics import holm
from fuse2task.bench.submission import COLUMNS, FILES, MANIFEST, merge, submit, verify
from fuse2task.data.images import read_visible, write_image
from fuse2task.data.loading import load_dataset
from fuse2task.results.schema import COMPARISONS
from fuse2task.results.tables import ResultsTable, read_frame, read_table
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest


@pytest.fixture
def bench(finished, make_recipe, tmp_path):
    return finished(tmp_path / "run", make_recipe())


@pytest.fixture
def submission(bench, tmp_path):
    submit(bench, tmp_path / "ours")
    return tmp_path / "ours"


@pytest.fixture(scope="module")
def made_once():
    return []


@pytest.fixture
def another(tiny_source, make_recipe, made_once, tmp_path, tmp_path_factory):
    """A submission of a folder method beside the usual three."""
    if not made_once:
        base = tmp_path_factory.mktemp("another")
        for pair in load_dataset(tiny_source, "msrs", boxes=tiny_source / "boxes" / "fusion").pairs:
            write_image(base / "theirs" / f"{pair.id}.png", read_visible(pair.visible) // 2)
        methods = ["visible", "infrared", "average", {"name": "theirs", "folder": str(base / "theirs")}]
        assert run_bench(make_recipe(methods=methods), base / "run")
        submit(base / "run", base / "submission")
        made_once.append(base / "submission")
    return shutil.copytree(made_once[0], tmp_path / "theirs-submitted")


def reseal(folder, name):
    """The manifest has the hash of the file as it is now."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = file_digest(folder / name)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_submission_has_rows_and_hashes_but_no_images_and_no_places(bench, submission, tmp_path):
    assert {path.name for path in submission.iterdir()} == {*FILES, MANIFEST}
    rows = ResultsTable(submission).rows()
    assert rows == ResultsTable(bench).rows()
    everything = "".join(path.read_text() for path in submission.iterdir())
    assert str(tmp_path) not in everything
    recipe = yaml.safe_load((submission / "recipe.yaml").read_text())
    assert recipe["datasets"]["tiny"]["root"] == "source"
    assert recipe["judges"]["places"]["weights"] == "judge.onnx"
    evidence = json.loads((submission / MANIFEST).read_text())["evidence"]
    assert {"fused/tiny/average/manifest.json", "predictions/tiny/average/places/dets.json"} <= evidence.keys()
    for place, digest in evidence.items():
        assert file_digest(bench / place) == digest
    assert len(verify(submission).comparisons) == len(read_table(bench / "comparisons.csv", COMPARISONS)) > 0


def test_the_same_folder_is_packed_to_the_same_bytes(bench, submission, tmp_path):
    before = {path.name: path.read_bytes() for path in submission.iterdir()}
    submit(bench, submission)
    assert {path.name: path.read_bytes() for path in submission.iterdir()} == before


def test_every_changed_file_is_named(submission):
    for name in FILES:
        path = submission / name
        before = path.read_bytes()
        path.write_bytes(before.replace(b"average", b"averagE") if name != "truths.json" else before + b"\n")
        with pytest.raises(RequestError, match=rf"{name}: not the file that submission\.json has the hash of"):
            verify(submission)
        path.unlink()
        with pytest.raises(RequestError, match=rf"{name}: cannot be read"):
            verify(submission)
        path.write_bytes(before)
    (submission / "image.png").write_bytes(b"x")
    with pytest.raises(RequestError, match=r"image\.png: no file of a submission"):
        verify(submission)


def test_rows_and_manifest_must_fit_even_where_hashes_do(submission):
    path = submission / "results.csv"
    before = path.read_text()
    method_hash = ResultsTable(submission).rows()[0]["method_hash"]
    for change, message in (
        (lambda text: text.replace(method_hash, "0" * 12), "has the hash 000000000000"),
        (lambda text: text.replace("average", "ours"), "ours has the hash"),
        (
            lambda text: text.replace(ResultsTable(submission).rows()[0]["truth_hash"], "f" * 12),
            "nothing about truth f",
        ),
    ):
        path.write_text(change(before))
        reseal(submission, "results.csv")
        with pytest.raises(RequestError, match=message):
            verify(submission)
        path.write_text(before)
    manifest = json.loads((submission / MANIFEST).read_text())
    for damaged in ("[]", "{}", json.dumps(manifest | {"format": "other"}),
                    json.dumps(manifest | {"methods": {"tiny": {"[red]a": "0"}}})):  # fmt: skip
        (submission / MANIFEST).write_text(damaged)
        with pytest.raises(RequestError, match=r"submission\.json: bad submission"):
            verify(submission)


def test_what_was_not_recorded_so_is_not_packed(bench, tmp_path):
    with (bench / "predictions" / "tiny" / "average" / "places" / "dets.json").open("a") as handle:
        handle.write(" ")
    with pytest.raises(RequestError, match=r"average/places/dets\.json: not the file that was recorded"):
        submit(bench, tmp_path / "ours")
    shutil.rmtree(bench / "predictions" / "tiny" / "average")
    submit(bench, tmp_path / "ours")
    assert {row["method"] for row in ResultsTable(tmp_path / "ours").rows()} == {"visible", "infrared"}
    with pytest.raises(RequestError, match="not a finished bench folder"):
        submit(tmp_path / "ours" / "nothing", tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(RequestError, match="holds something else"):
        submit(bench, tmp_path / "other")


def test_several_become_one_table_with_holms_correction_over_all(submission, another, tmp_path, capsys):
    path = merge([submission, another], tmp_path / "field")
    rows = ResultsTable(path.parent).rows()
    assert [row["method"] for row in rows if row["metric"] == "AP" and row["class"] == row["condition"] == "all"].count(
        "average"
    ) == len({row["truth_hash"] for row in rows})
    assert {row["method"] for row in rows} == {"visible", "infrared", "average", "theirs"}
    assert "differ" not in capsys.readouterr().err
    pairs = read_frame(path.with_name("comparisons.csv"), COMPARISONS)
    chosen = pairs[(pairs["metric"] == "AP") & (pairs["class"] == "all") & (pairs["condition"] == "all")]
    for _, family in chosen.groupby(["truth_hash", "b"]):
        assert family["p_holm"].tolist() == pytest.approx(holm(family["p_value"]).tolist(), nan_ok=True)
    origins = read_table(path.with_name("submissions.csv"), COLUMNS)
    assert {(row["submission"], row["method"]) for row in origins} == {
        ("ours", "visible"), ("ours", "infrared"), ("ours", "average"), ("theirs-submitted", "theirs"),
    }  # fmt: skip
    before = path.read_bytes()
    assert merge([submission, another], tmp_path / "field").read_bytes() == before
    with pytest.raises(RequestError, match="holds something else"):
        merge([submission], tmp_path / "run")


def test_numbers_that_others_have_too_may_differ_but_it_is_said(submission, tmp_path, capsys):
    other = shutil.copytree(submission, tmp_path / "other")
    text = (other / "results.csv").read_text().splitlines()
    rows = ResultsTable(other).rows()
    at = next(k for k, row in enumerate(rows) if row["method"] == "average" and row["metric"] == "AP")
    value = float(rows[at]["value"])
    text[at + 1] = text[at + 1].replace(repr(value), repr(value + 0.002))
    (other / "results.csv").write_text("\n".join(text) + "\n")
    reseal(other, "results.csv")
    path = merge([submission, other], tmp_path / "field")
    assert f"1 of {len(rows)} numbers that others have too differ from theirs, at most by 0.002: AP" in (
        capsys.readouterr().err
    )
    assert path.read_bytes() == (submission / "results.csv").read_bytes()


def test_one_name_for_two_methods_is_refused(submission, another, tmp_path):
    manifest = json.loads((another / MANIFEST).read_text())
    hashes = manifest["methods"]["tiny"]
    text = (another / "results.csv").read_text().replace(hashes["average"], "0" * 12)
    (another / "results.csv").write_text(text)
    hashes["average"] = "0" * 12
    (another / MANIFEST).write_text(json.dumps(manifest))
    reseal(another, "results.csv")
    with pytest.raises(RequestError, match="methods of one name with other images or weights"):
        merge([submission, another], tmp_path / "field")
    assert not (tmp_path / "field").exists()


def test_both_commands(bench, run_cli, tmp_path):
    assert run_cli("bench", "submit", bench, "-o", tmp_path / "ours") == 0, run_cli.error
    assert run_cli("bench", "merge", tmp_path / "ours", "-o", tmp_path / "field") == 0, run_cli.error
    assert "average" in run_cli.output
    assert run_cli("bench", "merge", tmp_path / "ours", "-o", tmp_path / "field", "--json") == 0, run_cli.error
    assert {row["method"] for row in json.loads(run_cli.output)["results"]} == {"visible", "infrared", "average"}
    (tmp_path / "ours" / "recipe.yaml").write_text("seeds: [1]\n")
    assert run_cli("bench", "merge", tmp_path / "ours", "-o", tmp_path / "field") == 2
    assert "recipe.yaml: not the file" in run_cli.error
