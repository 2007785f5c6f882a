"""Server on an address of this machine: who may ask, response headers, start and end."""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.progress import Interrupted, say

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
CONNECTIONS = 16  # at once; each may hold two files in memory
PATIENCE = 5  # seconds for what is being answered when a signal comes; an upload that stands still would last for ever
HEADERS = {
    # The page loads its own files and nothing else, from nowhere else.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def is_address(name: str, loopback: bool = False) -> bool:
    """Whether `name` is an IP address, in brackets or not; loopback: one that only this machine can reach."""
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or not loopback


def host_name(header: str) -> str:
    """The name in a Host header, without the port and in lower case; "" where it is malformed."""
    if header.startswith("["):
        name, bracket, port = header.partition("]")
        name, port = name + bracket, port.removeprefix(":")
    else:
        name, _, port = header.partition(":")
    return name.lower() if not port or port.isdecimal() else ""


class Guard:
    """ASGI middleware that refuses other hosts and other origins, and adds `HEADERS` to every response.

    A page elsewhere can make its own name lead to this machine (DNS rebinding) and would then read what is
    served here as its own; its name gives it away in the Host header. A page that merely sends a form here is
    recognised by its Origin header.
    """

    def __init__(self, app: ASGIApp, allowed: Callable[[str], bool]):
        self.app, self.allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        reason = self._refusal(Headers(scope=scope))
        answer = JSONResponse({"error": reason}, 403) if reason else self.app
        await answer(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.allowed(host_name(host)):
            return f"host {host!r} is not served here; use the address that `fuse2task serve` printed"
        if origin is not None and origin.lower() != f"http://{host}".lower():
            return f"a page of {origin!r} may not ask here"
        return None


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach `host`."""
    return host == "localhost" or is_address(host, loopback=True)


def host_rule(host: str) -> Callable[[str], bool]:
    """Which names a request may call this server by when it is bound to `host`. On loopback those of loopback;
    elsewhere any address (none can be rebound), and the machine's own names."""
    names = LOOPBACK | {host.lower()}
    if is_loopback(host):
        return lambda name: name in names
    own = names | {socket.gethostname().lower(), socket.getfqdn().lower()}
    return lambda name: name in own or is_address(name)


def bind(host: str, port: int, allow_remote: bool) -> socket.socket:
    """A bound socket; port 0 takes any free one. RequestError: another machine could reach `host` and `allow_remote` is
    off, or the address cannot be had."""
    if not is_loopback(host) and not allow_remote:
        reason = "other machines could reach the page, which has no password and no encryption"
        raise RequestError(f"--host {host}: {reason}; add --allow-remote if that is what you want")
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
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, lifespan="off",
        limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=PATIENCE,
    )  # fmt: skip
    return uvicorn.Server(config)


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
