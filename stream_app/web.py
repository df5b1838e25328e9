"""The worker's HTTP server: a page a path, small answers, nothing else.

The standard library's WSGI server, as prometheus-client uses it, with bounds: on how many are answered at
once and on how long one may take. Only GET and HEAD, and only the paths that it was given; some of
them want a token.
"""

from __future__ import annotations

import hmac
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

#: Requests that are answered at once; a connection beyond is closed without an answer.
MOST_AT_ONCE: Final = 64

#: Seconds that a client may keep a request waiting for its next byte.
SILENT_S: Final = 10.0

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What a page says."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def page(make: Callable[[], Answer]) -> WSGIApplication:
    """A page that is made anew for each request."""

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        made = make()
        start_response(_line(made.status), [("Content-Type", made.kind), *made.headers])
        return [made.body]

    return answer


class Web:
    """Answers requests in threads of their own, from :meth:`start` to :meth:`stop`.

    Args:
        pages: by path, for everybody who reaches the port.
        guarded: by path, for those who have the token.
        token: empty: everybody has it.
    """

    def __init__(
        self,
        pages: Mapping[str, WSGIApplication],
        guarded: Mapping[str, WSGIApplication] | None = None,
        token: str = "",
    ) -> None:
        self._guarded = dict(guarded or {})
        self._pages = {**pages, **self._guarded}
        self._token = token.encode()
        self._server: tuple[WSGIServer, threading.Thread] | None = None

    def start(self, host: str, port: int) -> int:
        """Listen.

        Args:
            host: address to listen on.
            port: port; 0 takes a free one.

        Returns:
            The port.

        Raises:
            OSError: the address is taken, or is none of this machine's.
        """
        kind = _ServerOfIPv6 if ":" in host else _Server
        server = make_server(host, port, self._answer, kind, _Handler)
        thread = threading.Thread(target=server.serve_forever, name="web", daemon=True)
        thread.start()
        self._server = (server, thread)
        return int(server.server_port)

    def stop(self) -> None:
        """Stop answering."""
        if self._server:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(timeout=2)
            self._server = None

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, headers, body = _collect(self._page_for(environ), environ)
        except Exception:
            logger.exception("%s could not be answered", environ["PATH_INFO"])
            status, headers, body = _line(HTTPStatus.INTERNAL_SERVER_ERROR), [("Content-Type", TEXT)], b""
        start_response(status, [*headers, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _page_for(self, environ: WSGIEnvironment) -> WSGIApplication:
        found = self._pages.get(environ["PATH_INFO"])
        if found is None:
            known = ", ".join(self._pages)
            return page(lambda: Answer(HTTPStatus.NOT_FOUND, f"there is {known}\n".encode()))
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            allow = (("Allow", "GET, HEAD"),)
            return page(lambda: Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD\n", TEXT, allow))
        if environ["PATH_INFO"] in self._guarded and not self._has_token(environ):
            asks = (("WWW-Authenticate", 'Bearer realm="nextclick"'),)
            return page(lambda: Answer(HTTPStatus.UNAUTHORIZED, b"this page wants http_token\n", TEXT, asks))
        return found

    def _has_token(self, environ: WSGIEnvironment) -> bool:
        if not self._token:
            return True
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        # Headers are Latin-1 to WSGI; the bytes are compared, in the same time wherever they differ.
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        return scheme.lower() == "bearer" and same


def _line(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"


def _collect(application: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
    """The whole answer of an application to GET; HEAD has the same without its body."""
    said: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, *_error: Any) -> Callable[[bytes], object]:
        said.append((status, headers))
        return _no_writing

    body = b"".join(application({**environ, "REQUEST_METHOD": "GET"}, start_response))
    ((status, headers),) = said
    return status, headers, body


def _no_writing(_data: bytes) -> None:
    """WSGI's old way to send a body, which no page here uses."""
    raise NotImplementedError


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = MOST_AT_ONCE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind, and look up no name for the address: that may take as long as a name server is away."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A client that went away, or is too slow, is no error of the worker's."""
        logger.debug("no answer to %s", client_address)


class _ServerOfIPv6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = SILENT_S

    def log_message(self, *_args: object) -> None:
        """Not a line a request."""
