"""Two processes on one output: one waits or is told who writes there; shards share; a dead process holds nothing."""

import multiprocessing
import os
import re
import signal
import socket
import threading
import time

import pytest

from fuse2task.data.loading import load_dataset
from fuse2task.runtime import files, locks
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import sole_file, write_text
from fuse2task.runtime.locks import Lock, make_folder, sole_writer
from fuse2task.training.run_folder import RunFolder
from fusion.dataset_writer import WORK, FusedWriter, Shard, write_fused
from fusion.methods import make_method

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def elsewhere(monkeypatch):
    """`elsewhere(path)`: another process that holds the lock until it is ended."""
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    begun = []

    def hold(path):
        taken = FORK.Event()
        process = FORK.Process(target=_hold, args=(path, taken), daemon=True)
        process.start()
        assert taken.wait(60)
        begun.append(process)
        return process

    yield hold
    for process in begun:
        process.kill()
        process.join()


def _hold(path, taken) -> None:
    with Lock(path):
        taken.set()
        time.sleep(600)


def test_the_second_writer_is_told_who_the_first_is_and_a_killed_one_holds_nothing(tmp_path, elsewhere):
    out = tmp_path / "out"
    holder = elsewhere(out / ".lock")
    named = re.escape(f"{out}: another fuse2task is writing there (pid {holder.pid} on {socket.gethostname()})")
    with pytest.raises(Fuse2TaskError, match=named), sole_writer(out, out / ".lock"):
        pass
    holder.kill()
    holder.join()
    with sole_writer(out, out / ".lock"):
        assert Lock(out / ".lock").holder == f"pid {os.getpid()} on {socket.gethostname()}"
    assert list(out.iterdir()) == []


def test_a_writer_that_is_about_to_end_is_waited_for(tmp_path):
    first = Lock(tmp_path / ".lock")
    assert first.acquire()
    threading.Timer(0.3, first.release, [True]).start()  # removes the file, which the other has open by then
    with sole_writer(tmp_path, tmp_path / ".lock"):
        assert not Lock(tmp_path / ".lock").acquire(wait=False)


def test_a_fork_holds_no_lock_of_its_parent(tmp_path):
    lock = Lock(tmp_path / "a.lock")
    lock.acquire()
    child = FORK.Process(target=time.sleep, args=(600,), daemon=True)
    child.start()
    lock.release()
    deadline = time.monotonic() + 60  # the child lets go as soon as it runs
    while not Lock(tmp_path / "a.lock").acquire(wait=False):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.kill()


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with sole_writer(tmp_path, tmp_path / ".lock"):
        write_text(tmp_path / "a.txt", "x")
    assert "no locks" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["remove", "move"])
def test_nothing_is_written_into_a_folder_that_went_away(tmp_path, change):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    with sole_writer(out, out / ".lock"):
        write_text(out / "a.txt", "x")
        write_text(tmp_path / "beside.txt", "x")
        out.rename(elsewhere)
        if change == "remove":
            (elsewhere / ".lock").unlink()
        with pytest.raises(Fuse2TaskError, match=f"{out}: was removed or moved"):
            write_text(out / "sub" / "b.txt", "x")
    assert not out.exists()
    write_text(out / "b.txt", "x")  # nothing is held any more


def test_another_folder_in_its_place_is_not_written_into(tmp_path):
    out = tmp_path / "out"
    with sole_writer(out, out / ".lock"):
        out.rename(tmp_path / "elsewhere")
        out.mkdir()
        with pytest.raises(Fuse2TaskError, match=f"{out}: was removed or moved"):
            write_text(out / "b.txt", "x")
        assert list(out.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    path, flock = tmp_path / "a.lock", locks.fcntl.flock

    def late(*arguments):  # the last holder removes the file between opening and locking
        monkeypatch.setattr(locks.fcntl, "flock", flock)
        path.unlink()
        flock(*arguments)

    monkeypatch.setattr(locks.fcntl, "flock", late)
    lock = Lock(path)
    assert lock.acquire()
    assert not Lock(path).acquire(wait=False)
    lock.release()


def test_halves_of_killed_writers_go(tmp_path):
    path = tmp_path / "m[1].json"
    half, other = tmp_path / f".{path.name}.4711.tmp", tmp_path / ".other.json.4711.tmp"
    for leftover in (half, other):
        leftover.write_text("{")
    with sole_file(path):
        write_text(path, "{}")
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


def test_one_run_folder_has_one_writer_and_other_ranks_none(tmp_path, elsewhere):
    run = RunFolder(tmp_path / "run", {"lr": 1})
    holder = elsewhere(run.root / ".lock")
    with pytest.raises(Fuse2TaskError, match=f"{run.root}: another fuse2task"), run.held():
        pass
    with run.held(main=False):
        pass
    holder.kill()
    holder.join()
    with run.held():
        assert run.is_begun
    assert sorted(path.name for path in run.root.iterdir()) == ["recipe.yaml", "resume", "samples"]


def test_shards_of_one_count_share_an_output_and_others_do_not(folder_dataset, tmp_path, elsewhere):
    root, out = folder_dataset(5), tmp_path / "out"
    dataset, method = load_dataset(root, "folder"), make_method("average")
    write_fused(dataset, method, tmp_path / "whole")
    elsewhere(out / WORK / "shard-2-of-2.lock")
    assert not write_fused(dataset, method, out, shard=Shard(1, 2))
    for shard in (Shard(2, 2), Shard(1, 1), Shard(1, 3)):
        with pytest.raises(Fuse2TaskError, match="another fuse2task is writing there"):
            write_fused(dataset, method, out, shard=shard)
    assert not (out / "manifest.json").exists()


def _shard(root, out, index) -> None:
    write_fused(load_dataset(root, "folder"), make_method("average"), out, shard=Shard(index, 3))


@pytest.mark.slow
def test_shards_at_the_same_time_end_in_one_dataset(folder_dataset, tmp_path):
    root = folder_dataset(7)
    write_fused(load_dataset(root, "folder"), make_method("average"), tmp_path / "whole")
    for attempt in range(3):
        out = tmp_path / f"out{attempt}"
        parts = [FORK.Process(target=_shard, args=(root, out, index)) for index in (1, 2, 3)]
        for part in parts:
            part.start()
        for part in parts:
            part.join()
        assert [part.exitcode for part in parts] == [0, 0, 0]
        names = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        whole = tmp_path / "whole"
        assert names == {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
        assert not (out / WORK).exists()


def test_images_that_vanish_before_the_manifest_are_told_and_made_again(folder_dataset, tmp_path, monkeypatch):
    dataset, method, out = load_dataset(folder_dataset(4), "folder"), make_method("average"), tmp_path / "out"
    merge = FusedWriter._merge

    def loses(self) -> None:
        (out / "images" / "test" / "p2.png").unlink()
        merge(self)

    with monkeypatch.context() as patch:
        patch.setattr(FusedWriter, "_merge", loses)
        with pytest.raises(Fuse2TaskError, match=r"p2.png: removed since it was written"):
            write_fused(dataset, method, out)
    assert not (out / "manifest.json").exists()
    assert write_fused(dataset, method, out)
    assert (out / "images" / "test" / "p2.png").is_file()


@pytest.mark.slow
def test_a_second_command_on_the_same_output_is_refused(killing, material, tmp_path):
    name = "fusion train"
    first = killing.Run(material.command(name), tmp_path, tmp_path / "first.txt")
    while not (tmp_path / "out" / ".lock").exists() and first.process.is_alive():
        time.sleep(0.002)
    os.kill(first.process.pid, signal.SIGSTOP)  # it writes nothing, and holds its lock
    second = killing.Run(material.command(name), tmp_path, tmp_path / "second.txt")
    assert second.end() == 1, second.said
    assert f"out: another fuse2task is writing there (pid {first.process.pid} on " in second.said
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.end() == 0, first.said
    killing.assert_same(killing.outcome(tmp_path / "out"), material.reference(name)[0], name)


@pytest.mark.parametrize("below", ["labels/test/p1.txt", "p1.txt"])
def test_a_folder_that_goes_between_the_look_and_the_writing_is_not_made_again(tmp_path, monkeypatch, below):
    out = tmp_path / "out"
    with sole_writer(out, out / ".work" / "lock"):
        write_text(out / below, "kept")
        monkeypatch.setattr(files, "check_held", lambda path: out.rename(tmp_path / "gone") if out.exists() else None)
        with pytest.raises(Fuse2TaskError, match="removed"):
            write_text(out / below, "lost")
        with pytest.raises(Fuse2TaskError, match=f"{out}: was removed or moved"):
            make_folder(out / "images" / "test")
        assert not out.exists()
    assert (tmp_path / "gone" / below).read_text() == "kept"
    make_folder(out / "images" / "test")  # nobody holds it any more
    assert (out / "images" / "test").is_dir()


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_a_lock_is_a_regular_file_and_never_a_link(tmp_path, kind):
    victim, path = tmp_path / "victim.txt", tmp_path / "x.lock"
    victim.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(victim if kind == "link" else tmp_path / "nothing")
    with pytest.raises(RequestError, match=r"x\.lock: a lock file must be a regular file"):
        Lock(path).acquire()
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_a_long_wait_says_for_whom(tmp_path, monkeypatch, capsys, elsewhere):
    path = tmp_path / "results.lock"
    other = elsewhere(path)
    lock = Lock(path)
    waiting = threading.Thread(target=lock.acquire)
    waiting.start()
    said, deadline = "", time.monotonic() + 60
    while not said and time.monotonic() < deadline:
        time.sleep(0.05)
        said = capsys.readouterr().err
    assert f"waits for pid {other.pid} on {socket.gethostname()}" in said
    other.kill()
    waiting.join(60)
    assert not waiting.is_alive()
    lock.release()
    assert capsys.readouterr().err == ""  # said once
