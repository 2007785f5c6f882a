"""The page served on a free port, with a judge that marks what it was shown."""

import http.client
import threading
import time

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra [serve] is not installed")
pytest.importorskip("python_multipart", reason="the extra [serve] is not installed")
pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")


class Judge:
    """Finds a person on the whole image, and a car in its upper left quarter with the confidence of its mean blue."""

    names = ("person", "car")

    def predict(self, image, classes):
        assert list(classes) == [0, 1]
        height, width = image.shape[:2]
        blue = image[..., 0].mean() / 255  # the first channel: judges are shown BGR
        return np.array([[0, 0, width, height, 0.9, 0], [0, 0, width / 2, height / 2, blue, 1]], np.float32)


class Client:
    """Plain requests to the served page."""

    def __init__(self, port: int):
        self.port, self.name = port, f"127.0.0.1:{port}"
        self.address = f"http://{self.name}/"

    def ask(self, method, path, body=None, **headers):
        """(status, headers, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    def post(self, files, method="average", **headers):
        """A multipart form: `files` is name -> bytes; method None leaves that field out."""
        parts = [f'--frontier\r\nContent-Disposition: form-data; name="method"\r\n\r\n{method}\r\n'.encode()]
        for name, data in files.items():
            disposition = f'Content-Disposition: form-data; name="{name}"; filename="{name}.png"'
            parts.append(f"--frontier\r\n{disposition}\r\n\r\n".encode() + data + b"\r\n")
        body = b"".join(parts[method is None :]) + b"--frontier--\r\n"
        return self.ask("POST", "/fuse", body, **{"Content_Type": "multipart/form-data; boundary=frontier"} | headers)


@pytest.fixture(scope="session")
def page():
    from fuse2task.serve.app import make_app
    from fuse2task.serve.fusing import PairFuser
    from fuse2task.serve.server import bind, host_rule, make_server
    from fusion.methods import make_method

    methods = {name: make_method(name) for name in ("average", "laplacian", "maximum", "visible")}
    bound = bind("127.0.0.1", 0, allow_remote=False)
    server = make_server(make_app(PairFuser(methods, Judge()), host_rule("127.0.0.1")))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    client = Client(bound.getsockname()[1])
    client.methods = methods
    yield client
    server.should_exit = True
    thread.join(10)
