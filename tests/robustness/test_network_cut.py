"""The test run has no network, and neither have the processes that it starts; loopback stays."""

import errno
import socket
import subprocess
import sys

import pytest

CONNECT = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_nothing_leaves_this_machine(host):
    with pytest.raises(OSError, match="network is cut") as caught:
        socket.create_connection((host, 80), timeout=1)
    assert caught.value.errno == errno.ENETUNREACH
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, pytest.raises(OSError, match="network is cut"):
        datagram.sendto(b"hello", ("192.0.2.1", 53))


def test_a_child_has_no_network_either():
    done = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True)
    assert done.returncode == 1
    assert "network is cut" in done.stderr


def test_loopback_works():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            client.sendall(b"x")
            assert server.accept()[0].recv(1) == b"x"
        assert socket.getaddrinfo("localhost", 80)
