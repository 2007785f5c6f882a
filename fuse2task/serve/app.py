"""The web application: the page's own files, an example pair, and one pair fused at a time."""

from collections.abc import Callable
from functools import cache
from importlib import resources

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fuse2task.data.images import FORMATS, encode_png
from fuse2task.data.synthetic.scene import Scene, render
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.serve.fusing import PairFuser
from fuse2task.serve.guard import Guard
from fuse2task.serve.uploads import MAX_BYTES, MAX_PIXELS, TooLargeError, decode_pair, read_form

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
EXAMPLES = ("/example/infrared.png", "/example/visible.png")
EXAMPLE_SIZE = (640, 480)


def make_app(fuser: PairFuser, allowed: Callable[[str], bool]) -> ASGIApp:
    """The application around `fuser`, for hosts that `allowed` accepts.

    GET / and its two files; GET /options; GET /example/{infrared,visible}.png, a synthetic night scene; POST
    /fuse, a multipart form of `infrared`, `visible` and `method`, answered by `PairFuser.answer` as JSON. Errors
    are JSON with the key `error`: 400 for a wrong request, 403 for a wrong host or origin, 413 for too large.
    """
    one_at_a_time = anyio.CapacityLimiter(1)  # a method may use every core, and a judge is not made for threads

    async def options(_: Request) -> Response:
        limits = {"bytes": MAX_BYTES, "pixels": MAX_PIXELS, "formats": FORMATS}
        return JSONResponse({**fuser.options(), "limits": limits})

    async def example(request: Request) -> Response:
        scene = await anyio.to_thread.run_sync(_example, limiter=one_at_a_time)
        pixels = scene.infrared if request.url.path == EXAMPLES[0] else scene.visible
        return Response(encode_png(pixels), media_type="image/png")

    async def fuse(request: Request) -> Response:
        method, infrared, visible = await read_form(request)

        def work() -> dict:
            return fuser.answer(method, *decode_pair(infrared, visible))

        return JSONResponse(await anyio.to_thread.run_sync(work, limiter=one_at_a_time))

    routes = [
        *(Route(path, _file(*file)) for path, file in FILES.items()),
        *(Route(path, example) for path in EXAMPLES),
        Route("/options", options),
        Route("/fuse", fuse, methods=["POST"]),
    ]
    # The guard is outermost, so that errors of all kinds have its headers.
    return Guard(
        Starlette(routes=routes, exception_handlers={Fuse2TaskError: _failed, Exception: _unexpected}), allowed
    )


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    text = (resources.files("fuse2task.serve") / "static" / name).read_text("utf-8")

    def serve(_: Request) -> Response:
        return Response(text, media_type=kind)

    return serve


@cache
def _example() -> Scene:
    return render(0, 1, EXAMPLE_SIZE, night=True, task="detection")


async def _failed(_: Request, error: Exception) -> Response:
    status = 413 if isinstance(error, TooLargeError) else 400 if isinstance(error, RequestError) else 500
    return JSONResponse({"error": str(error)}, status)


async def _unexpected(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"unexpected {type(error).__name__}; the terminal has more"}, 500)
