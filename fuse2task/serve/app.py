"""Web application: the page, an example pair, one uploaded pair fused at a time within limits."""

import io
from collections.abc import AsyncGenerator, Callable
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import cast

import anyio
import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fuse2task.data.images import FORMATS, encode_png, image_size, read_infrared, read_visible
from fuse2task.data.synthetic.scene import Scene, render
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.serve.fusing import PairFuser
from fuse2task.serve.server import Guard

FILES = {
    "/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}  # fmt: skip
EXAMPLES = ("/example/infrared.png", "/example/visible.png")
EXAMPLE_SIZE = (640, 480)
MAX_BYTES = 20_000_000
MAX_PIXELS = 4_000_000
UPLOAD_SECONDS = 60
MIN_SIDE, MAX_SIDE = 16, 8192  # thinner images have no scores, and no size in a judge's square
# Two files, the name of a method, and what multipart puts between them.
MAX_BODY = 2 * MAX_BYTES + 10_000


def make_app(fuser: PairFuser, allowed: Callable[[str], bool]) -> ASGIApp:
    """The application around `fuser`, for hosts that `allowed` accepts.

    GET / and its two files; GET /options; GET /example/{infrared,visible}.png, a synthetic night scene; POST
    /fuse, a multipart form of `infrared`, `visible` and `method`, answered by `PairFuser.answer` as JSON. Errors
    are JSON with the key `error`: 400 for a wrong request, 403 for a wrong host or origin, 408 for a stalled upload,
    413 for too large.
    """
    # One at a time: a method may use every core, and a judge is not made for threads.
    in_thread = partial(anyio.to_thread.run_sync, limiter=anyio.CapacityLimiter(1))
    static = resources.files("fuse2task.serve") / "static"
    texts = {path: (static / name).read_text("utf-8") for path, (name, _) in FILES.items()}

    async def page(request: Request) -> Response:
        path = request.url.path
        return Response(texts[path], media_type=FILES[path][1])

    async def options(_: Request) -> Response:
        limits = {"bytes": MAX_BYTES, "pixels": MAX_PIXELS, "formats": FORMATS}
        return JSONResponse({**fuser.options(), "limits": limits})

    async def example(request: Request) -> Response:
        scene = await in_thread(_example)
        pixels = scene.infrared if request.url.path == EXAMPLES[0] else scene.visible
        return Response(encode_png(pixels), media_type="image/png")

    async def fuse(request: Request) -> Response:
        method, *files = await read_form(request)
        answer = await in_thread(lambda: fuser.answer(method, *decode_pair(*files)))
        return JSONResponse(answer)

    routes = [
        *(Route(path, page) for path in FILES),
        *(Route(path, example) for path in EXAMPLES),
        Route("/options", options),
        Route("/fuse", fuse, methods=["POST"]),
    ]
    handlers = dict.fromkeys((Fuse2TaskError, Exception), _failed)
    # The guard is outermost, so that errors of all kinds have its headers.
    return Guard(Starlette(routes=routes, exception_handlers=handlers), allowed)


@cache
def _example() -> Scene:
    return render(0, 1, EXAMPLE_SIZE, night=True, task="detection")


async def _failed(_: Request, error: Exception) -> Response:
    kinds = {TooLargeError: 413, SlowError: 408, RequestError: 400}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 500)
    unexpected = f"unexpected {type(error).__name__}; the terminal has more"
    return JSONResponse({"error": str(error) if isinstance(error, Fuse2TaskError) else unexpected}, status)


class TooLargeError(RequestError):
    """More bytes or pixels than the page takes."""


class SlowError(RequestError):
    """An upload that does not end in time."""


class _InMemory(MultiPartParser):
    spool_max_size = MAX_BODY  # beyond this Starlette would write a temporary file


class _Named(io.BytesIO):
    """Bytes whose `str` is the file's name, which is what the readers put into their messages."""

    name = ""

    def __str__(self) -> str:
        return self.name


async def read_form(request: Request) -> tuple[str, bytes, bytes]:
    """Method name, infrared file and visible file of a multipart request; nothing touches the disk. TooLargeError: the
    body or a file is over the limit. SlowError: it has not come in `UPLOAD_SECONDS`. RequestError: not a form of
    `method`, `infrared` and `visible`, or broken off."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MAX_BODY:
        raise _too_many_bytes("the request")
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestError("a multipart form is expected: fields `infrared`, `visible` (files) and `method`")
    try:
        parser = _InMemory(request.headers, _limited(request), max_files=2, max_fields=1, max_part_size=1000)
        with anyio.fail_after(UPLOAD_SECONDS):  # stalled uploads would hold all connections
            form = await parser.parse()
    except MultiPartException as error:
        raise RequestError(f"the form cannot be read: {error.message}") from None
    except TimeoutError:
        raise SlowError(f"the upload took more than {UPLOAD_SECONDS} s; send it again") from None
    except ClientDisconnect:
        raise RequestError("the upload was broken off") from None
    method, infrared, visible = form.get("method"), form.get("infrared"), form.get("visible")
    if not (isinstance(method, str) and isinstance(infrared, UploadFile) and isinstance(visible, UploadFile)):
        raise RequestError("the form needs the files `infrared` and `visible`, and the name of a `method`")
    return method, await infrared.read(), await visible.read()


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_many_bytes("the request")
        yield chunk


def decode_pair(infrared: bytes, visible: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 infrared, and (H, W, 3) RGB or (H, W) grey uint8 visible, of two image files. TooLargeError: a file
    of more than `MAX_BYTES` or `MAX_PIXELS`. RequestError: not a readable image, too thin, not 8-bit, an alpha channel,
    or two different sizes."""
    names = ("the infrared image", "the visible image")
    first, second = map(_checked_size, (infrared, visible), names)
    if first != second:
        raise RequestError(
            f"{names[0]} is {first}, {names[1]} {second}: a pair shows the same view in the same size; register and "
            "crop the two first"
        )
    return read_infrared(_named(infrared, names[0])), read_visible(_named(visible, names[1]))


def _named(data: bytes, name: str) -> Path:
    file = _Named(data)
    file.name = name
    return cast(Path, file)  # the readers take anything that Pillow opens


def _checked_size(data: bytes, name: str) -> str:
    """WIDTHxHEIGHT from the header."""
    if len(data) > MAX_BYTES:
        raise _too_many_bytes(name)
    width, height = image_size(_named(data, name))
    if width * height > MAX_PIXELS:
        limit = f"{MAX_PIXELS // 10**6} megapixels; for such images use `fuse2task fusion pairs`"
        raise TooLargeError(f"{name}: {width}x{height} is more than {limit}")
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise RequestError(f"{name}: {width}x{height}; sides of {MIN_SIDE} to {MAX_SIDE} pixels are taken")
    return f"{width}x{height}"


def _too_many_bytes(name: str) -> TooLargeError:
    limit = f"{MAX_BYTES // 10**6} MB a file; for such files use `fuse2task fusion pairs`"
    return TooLargeError(f"{name}: more than {limit}")
