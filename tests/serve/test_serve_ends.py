"""Ctrl-C and termination end `fuse2task serve`: one line, exit code 0, however a client behaves."""

import re
import signal
import socket
import subprocess
import sys
import time

import pytest

SERVE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the test runner was started without
from fuse2task.cli.main import run
from fuse2task.serve import server

server.PATIENCE = 1
run(["serve", "--port", "0"])
"""
UPLOAD = (
    "POST /fuse HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stuck", [False, True], ids=["idle", "half an upload"])
def test_a_signal_is_the_usual_end(number, stuck):
    running = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = re.fullmatch(r"http://(127\.0\.0\.1):(\d+)/ .*\n", running.stderr.readline())
        host, port = address[1], int(address[2])
        with connected(host, port, time.monotonic() + 30) as client:
            if stuck:
                client.sendall(UPLOAD.format(host=f"{host}:{port}").encode())
                assert client.recv(100).startswith(b"HTTP/1.1 100")  # the request is being worked on
            else:
                client.sendall(f"GET /options HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                assert client.recv(100).startswith(b"HTTP/1.1 200")
            running.send_signal(number)
            out, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 0
    assert said.splitlines()[-1] == "ended"
    assert len(said.splitlines()) <= 1 + stuck  # uvicorn tells that it gave a request up
    assert "Traceback" not in said
    assert out == ""


def connected(host: str, port: int, deadline: float) -> socket.socket:
    """A connection to a server that is bound and will listen soon."""
    while True:
        try:
            return socket.create_connection((host, port), timeout=30)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
