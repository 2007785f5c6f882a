"""Binding the page to an address of this machine."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.interruption import Interrupted
from fuse2task.runtime.progress import say
from fuse2task.serve.guard import is_address

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
CONNECTIONS = 16  # at once; each may hold two files in memory
PATIENCE = 5  # seconds for what is being answered when a signal comes; an upload that stands still would last for ever


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
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            lifespan="off",
            timeout_graceful_shutdown=PATIENCE,
        )
    )


def run(app: ASGIApp, bound: socket.socket, host: str) -> None:
    """Serve until a signal ends it, which is the usual end and no failure: within `interruptible`."""
    if not is_loopback(host):
        say("warning: other machines can reach this page; there is no password and no encryption")
    name = f"[{host}]" if ":" in host else host
    say(f"http://{name}:{bound.getsockname()[1]}/ (Ctrl+C ends it; nothing is stored)")
    logging.getLogger("uvicorn.error").addFilter(_is_failure)
    server = make_server(app)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        # uvicorn catches the other two only, and its event loop would swallow an exception.
        signal.signal(signal.SIGHUP, server.handle_exit)
    with contextlib.suppress(Interrupted):  # uvicorn raises the signal again when it has ended
        server.run(sockets=[bound])
    say("ended")


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's tells more than that a request was given up at the end."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
