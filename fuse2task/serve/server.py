"""Binding the page to an address of this machine."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.progress import say
from fuse2task.serve.guard import is_address

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
CONNECTIONS = 16  # at once; each may hold two files in memory


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def host_rule(host: str) -> Callable[[str], bool]:
    """Which names a request may call this server by when it is bound to `host`.

    On loopback those of loopback; elsewhere any address (none can be rebound), and the machine's own names.
    """
    names = LOOPBACK | {host.lower()}
    if is_loopback(host):
        return lambda name: name in names
    own = names | {socket.gethostname().lower(), socket.getfqdn().lower()}
    return lambda name: name in own or is_address(name)


def bind(host: str, port: int, allow_remote: bool) -> socket.socket:
    """A bound socket; port 0 takes any free one.

    Raises:
        RequestError: another machine could reach `host` and `allow_remote` is off, or the address cannot be had.
    """
    if not is_loopback(host) and not allow_remote:
        raise RequestError(
            f"--host {host}: other machines could reach the page, which has no password and no encryption; add "
            "--allow-remote if that is what you want"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        raise RequestError(f"{host}, port {port}: {error}; choose another --port or --host") from None
    return bound


def make_server(app: ASGIApp) -> uvicorn.Server:
    """The server that runs `app`: quiet, and holding few requests at once."""
    return uvicorn.Server(
        uvicorn.Config(
            app, log_level="error", access_log=False, server_header=False, limit_concurrency=CONNECTIONS, lifespan="off"
        )
    )


def run(app: ASGIApp, bound: socket.socket, host: str) -> None:
    """Serve until interrupted."""
    if not is_loopback(host):
        say("warning: other machines can reach this page; there is no password and no encryption")
    name = f"[{host}]" if ":" in host else host
    say(f"http://{name}:{bound.getsockname()[1]}/ (Ctrl+C ends it; nothing is stored)")
    with contextlib.suppress(KeyboardInterrupt):  # the usual end, no failure
        make_server(app).run(sockets=[bound])
