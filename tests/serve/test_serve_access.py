"""Who is answered: this machine's own names and the page's own origin; how the command binds."""

import json
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuse2task.runtime.errors import RequestError
from fuse2task.serve.server import bind, host_name, host_rule


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/page.css", "/options", "/example/visible.png", "/nothing", "/fuse"]
)
def test_every_answer_has_the_headers(page, path):
    headers = page.ask("GET", path)[1]
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["server"] is None
    assert headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "192.168.0.7", "localhost:80:80", "[::1"]
)
def test_other_hosts_are_refused(page, host):
    status, headers, body = page.ask("GET", "/options", Host=host)
    assert status == 403
    assert "fuse2task serve" in json.loads(body)["error"]
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8750", "127.0.0.1:1", "[::1]:8750"])
def test_the_names_of_loopback_are_answered(page, host):
    assert page.ask("GET", "/options", Host=host)[0] == 200


def test_only_the_pages_own_origin_may_ask(page):
    assert page.ask("GET", "/options", Origin=f"http://{page.name}")[0] == 200
    for origin in ("null", "http://evil.example", f"https://{page.name}", "http://127.0.0.1", ""):
        assert page.ask("GET", "/options", Origin=origin)[0] == 403


@given(st.text(max_size=30))
def test_no_other_name_passes_for_loopback(text):
    allowed = host_rule("127.0.0.1")(host_name(text))
    if allowed:
        bare = text.lower()
        assert any(bare == name or bare.startswith(f"{name}:") for name in ("localhost", "127.0.0.1", "[::1]"))


def test_bound_to_all_addresses_any_address_is_answered_but_no_foreign_name():
    rule = host_rule("0.0.0.0")
    assert rule("192.168.0.7")
    assert rule("[fe80::1]")
    assert rule("localhost")
    assert rule(socket.gethostname().lower())
    assert not rule("evil.example")
    assert not rule("")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7"])
def test_other_machines_are_let_in_on_request_only(run_cli, host):
    assert run_cli("serve", "--host", host) == 2
    assert "--allow-remote" in run_cli.error


def test_with_the_flag_all_addresses_can_be_bound():
    with bind("0.0.0.0", 0, allow_remote=True) as bound:
        assert bound.getsockname()[0] == "0.0.0.0"


def test_a_port_in_use_is_named():
    with bind("127.0.0.1", 0, allow_remote=False) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match=f"port {port}: .*choose another --port"):
            bind("127.0.0.1", port, allow_remote=False)


def test_weights_and_extras_that_are_missing_are_named(run_cli, tmp_path, monkeypatch):
    assert run_cli("serve", "--port", 0, "--judge", tmp_path / "none.onnx") == 2
    assert "none.onnx" in run_cli.error
    assert run_cli("serve", "--port", 0, "--checkpoint", tmp_path / "none.safetensors") == 2
    assert "none.safetensors" in run_cli.error
    monkeypatch.setitem(sys.modules, "fuse2task.serve.app", None)
    assert run_cli("serve", "--port", 0) == 2
    assert "fuse2task[serve]" in run_cli.error
