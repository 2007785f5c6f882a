"""Who may ask: the page itself, under this machine's own names; and the headers that keep it to itself."""

import ipaddress
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


def is_address(name: str) -> bool:
    """Whether `name` is an IP address, in brackets or not."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


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
    known by its Origin header.
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
