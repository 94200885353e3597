"""An S3 server of moto's on loopback, before which requests can be held: a test kills somebody while one of them is under way."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

HELD_S_MAX = 100
REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

Request = dict[str, Any]


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Requests are nobody's news."""


class Held:
    """The first request that `wanted` says yes to: it waits, before it does anything, until it is let go or dropped."""

    def __init__(self, wanted: Callable[[Request], bool]) -> None:
        self.wanted = wanted
        self.came = threading.Event()
        self.left = threading.Event()
        self.done = threading.Event()
        self.is_dropped = False

    def wait(self) -> None:
        assert self.came.wait(HELD_S_MAX), "no such request has come"

    def let_go(self) -> None:
        """Let it go on, and wait until it was done."""
        self.left.set()
        assert self.done.wait(HELD_S_MAX), "the request is not answered"

    def drop(self) -> None:
        self.is_dropped = True
        self.left.set()


class ObjectStore:
    """The server as a WSGI application, and a client for the test itself. With a context it speaks TLS, and is known by `ca_bundle`."""

    def __init__(self, context: ssl.SSLContext | None = None, ca_bundle: str = "") -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self, threaded=True, request_handler=_Quiet, ssl_context=context
        )
        self.ca_bundle = ca_bundle
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._server.server_port}"
        self._held: Held | None = None
        self._lock = threading.Lock()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            verify=ca_bundle or None,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": REGION}

    def __call__(self, environ: Request, start_response: Any) -> Any:
        held = self._taken(environ)
        if held is not None:
            held.came.set()
            held.left.wait(HELD_S_MAX)
            if held.is_dropped:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
        try:
            return self._app(environ, start_response)
        finally:
            if held is not None:
                held.done.set()

    def _taken(self, environ: Request) -> Held | None:
        with self._lock:
            held = self._held
            if held is None or not held.wanted(environ):
                return None
            self._held = None
            return held

    def hold(self, method: str, key: str, *query: str) -> Held:
        """Hold the next request of this method to the key whose query has these names (`name` or `name=value`)."""

        def wanted(environ: Request) -> bool:
            found = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
            pairs = {*found, *(f"{name}={value}" for name, [value] in found.items())}
            is_key = environ["PATH_INFO"].endswith(f"/{key}")
            return environ["REQUEST_METHOD"] == method and is_key and pairs >= set(query)

        self._held = Held(wanted)
        return self._held

    def read(self, bucket: str, key: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket: str) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(one["Key"] for one in listed)

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of the uploads that are open."""
        listed = self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return sorted(one["Key"] for one in listed)

    @contextmanager
    def serving(self) -> Iterator[ObjectStore]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            self.client.close()
