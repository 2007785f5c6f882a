"""`fuse2task fusion score`."""

import csv
import shutil

import pytest


@pytest.fixture
def sources(folder_dataset):
    root = folder_dataset(3, (48, 44))
    for name in ("alpha", "beta"):
        shutil.copytree(root / ("ir" if name == "alpha" else "vi"), root / name)
    return root


def arguments(root, *fused):
    options = [item for folder in fused for item in ("--fused", folder)]
    return ("fusion", "score", "--ir", root / "ir", "--visible", root / "vi", *options, "-o", root / "out" / "s.csv")


def test_scores_two_folders_and_names_the_profile(sources, run_cli):
    assert run_cli(*arguments(sources, sources / "alpha", f"second={sources / 'beta'}"), "--scores", "EN,SD,VIF") == 0
    assert "profile standard" in run_cli.output
    assert "second" in run_cli.output
    rows = list(csv.DictReader((sources / "out" / "s.csv").open()))
    assert [row["method"] for row in rows] == ["alpha"] * 3 + ["second"] * 3
    assert (sources / "out" / "s.json").is_file()


def test_an_equals_sign_in_a_folder_that_exists_belongs_to_it(sources, run_cli):
    place = sources / "lr=1"
    place.mkdir()
    (sources / "alpha").rename(place / "alpha")
    (sources / "beta").rename(place / "a=b")
    assert run_cli(*arguments(sources, place / "alpha", place / "a=b", f"x={place / 'alpha'}"), "--scores", "EN") == 0
    assert {row["method"] for row in csv.DictReader((sources / "out" / "s.csv").open())} == {"alpha", "a=b", "x"}
    apply = ("fusion", "apply", "--data", sources, "--layout", "folder", "--method")
    assert run_cli(*apply, place / "a=b", "-o", sources / "f") == 0, run_cli.error
    assert run_cli(*apply, f"x={place / 'a=b'}", "-o", sources / "g") == 0, run_cli.error


@pytest.mark.parametrize(
    ("mend", "said"),
    [
        (lambda root: (root / "alpha" / "p1.png").unlink(), "no fused image p1"),
        (lambda root: (root / "alpha" / "p1.png").rename(root / "alpha" / "q.png"), "q.png: there is no such pair"),
        (lambda root: shutil.rmtree(root / "alpha"), "no such folder"),
    ],
)
def test_folders_that_do_not_match_are_a_wrong_request(sources, run_cli, mend, said):
    mend(sources)
    assert run_cli(*arguments(sources, sources / "alpha")) == 2
    assert said in run_cli.error
    assert not (sources / "out" / "s.csv").exists()


def test_explains_a_score_in_every_profile(run_cli):
    assert run_cli("fusion", "score", "--explain", "vif") == 0
    for word in ("standard", "vifb", "sum over both sources", "Sheikh"):
        assert word in run_cli.output
    assert run_cli("fusion", "score", "--explain", "MI", "--profile", "cddfuse") == 0
    assert "nats" in run_cli.output
    assert "bits" not in run_cli.output
    assert run_cli("fusion", "score", "--explain", "Beauty") == 2


def test_incomplete_or_ambiguous_requests_are_refused(sources, run_cli):
    assert run_cli("fusion", "score", "--ir", sources / "ir") == 2
    assert "needed together" in run_cli.error
    assert run_cli(*arguments(sources, sources / "alpha", sources / "alpha")) == 2
    assert "a name of its own" in run_cli.error
    assert run_cli(*arguments(sources, sources / "alpha"), "--profile", "best") == 2
    assert "no profile 'best'" in run_cli.error
