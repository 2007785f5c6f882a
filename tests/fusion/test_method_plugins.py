"""Methods of other packages: made by name, with what they ask for, and refused when they are not methods."""

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from fuse2task.runtime.errors import RequestError
from fusion.methods import LumaMethod, make_method


class Brighter(LumaMethod):
    name = "brighter"

    def __init__(self, device="auto"):
        self.device = device

    def identity(self):
        return {"name": self.name, "version": 1}

    def fuse_luma(self, infrared, visible):
        return np.maximum(infrared, visible)


class Other(Brighter):
    name = "other"


@pytest.fixture
def plug_in(monkeypatch):
    """`plug_in(object)`: as if a package offered it under the name brighter."""

    def offer(*values):
        entries = [EntryPoint("brighter", f"m{n}:x", "fuse2task.methods") for n in range(len(values))]
        monkeypatch.setattr(EntryPoint, "load", lambda entry: values[int(entry.value[1])])
        monkeypatch.setattr("fuse2task.runtime.packages.entry_points", lambda **_: entries)

    return offer


def test_a_plug_in_gets_the_options_that_it_has(plug_in):
    plug_in(Brighter)
    method = make_method("brighter", device="cpu")
    assert (method.name, method.device) == ("brighter", "cpu")
    with pytest.raises(RequestError, match="brighter takes none"):
        make_method("brighter", Path("weights"))
    with pytest.raises(RequestError, match="hsv, brighter and NAME=DIR"):
        make_method("britghter")


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        ((lambda: "a text",), "gives a str, not a fusion.methods.Method"),
        ((Other,), "calls itself 'other'"),
        ((Brighter, Other), "several packages"),
    ],
)
def test_what_is_no_method_is_refused(plug_in, offered, message):
    plug_in(*offered)
    with pytest.raises(RequestError, match=message):
        make_method("brighter")


def test_a_built_in_name_stays_built_in(monkeypatch):
    entry = EntryPoint("average", "nowhere:x", "fuse2task.methods")
    monkeypatch.setattr("fuse2task.runtime.packages.entry_points", lambda **_: [entry])
    assert type(make_method("average")).__name__ == "Arithmetic"


def test_a_plug_in_that_cannot_be_imported_is_named(monkeypatch):
    entry = EntryPoint("brighter", "a_module_that_is_not_there:x", "fuse2task.methods")
    monkeypatch.setattr("fuse2task.runtime.packages.entry_points", lambda **_: [entry])
    with pytest.raises(RequestError, match=r"a_module_that_is_not_there:x.*ModuleNotFoundError"):
        make_method("brighter")
