"""Cuts the network in every Python process that has this folder on its path: this machine and Unix sockets only.

`tests/conftest.py` puts it into PYTHONPATH, which processes started by tests inherit, and imports it itself. An audit
hook sees every socket, whoever opens it, and cannot be taken off again.
"""

import errno
import ipaddress
import socket
import sys

REFUSED = "the tests' network is cut: {} would leave this machine"
_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost", socket.gethostname()}


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or not isinstance(host, str) or host in _NAMES:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or _is_own(str(address))


def _is_own(address: str) -> bool:
    # Ray's processes talk to each other by the address of the network card; only an own one can be bound.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _watch(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None  # Unix sockets have a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise OSError(errno.ENETUNREACH, REFUSED.format(host))


sys.addaudithook(_watch)
