"""The HTTP server of a worker, asked over a socket."""

from __future__ import annotations

import http.client
import socket
from http import HTTPStatus

import pytest

from stream_app import web
from stream_app.telemetry import Telemetry
from stream_app.web import JSON, Answer, Web, page


def broken() -> Answer:
    """A page that cannot be made."""
    raise RuntimeError("a secret")


@pytest.fixture(scope="module")
def port():
    """The port of a server with three pages."""
    pages = {
        "/metrics": Telemetry().page(),
        "/status": page(lambda: Answer(HTTPStatus.OK, b'{"a": 1}', JSON)),
        "/broken": page(broken),
    }
    server = Web(pages)
    yield server.start("127.0.0.1", 0)
    server.stop()


def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, host: str = "127.0.0.1"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_a_page_is_found_by_its_path(port):
    """A path has its page with its kind; a question behind it is allowed; nothing is to be kept."""
    status, headers, body = ask(port, "/status?pretty")
    assert (status, body) == (200, b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    assert b"nextclick_ready 0.0" in ask(port, "/metrics")[2]


@pytest.mark.parametrize("path", ["/", "/metrics/", "/statu", "/../etc/passwd", "/tables", "/status/x"])
def test_other_paths_are_not_there(port, path):
    """An unknown path is 404 and names the known ones."""
    status, _, body = ask(port, path)
    assert (status, body) == (404, b"there is /metrics, /status, /broken\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "MADE-UP"])
def test_only_reading_is_answered(port, method):
    """Another method than GET and HEAD is 405, with what is allowed."""
    status, headers, _ = ask(port, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/status", "/nowhere"])
def test_head_is_get_without_the_body(port, path):
    """HEAD has the same status and length as GET, and no body."""
    status, headers, body = ask(port, path)
    only_head = ask(port, path, "HEAD")
    assert (only_head[0], only_head[1]["Content-Length"], only_head[2]) == (status, str(len(body)), b"")
    assert headers["Content-Length"] == str(len(body))


def test_a_page_that_fails_says_nothing(port, caplog):
    """An error in a page is 500 without its text; the text is in the log; the next request is answered."""
    assert ask(port, "/broken")[::2] == (500, b"")
    assert "/broken could not be answered" in caplog.text
    assert ask(port, "/status")[0] == 200


TOKEN = "wonder-word"  # noqa: S105 -- made up


@pytest.fixture(scope="module")
def guarded():
    """The port of a server whose metrics want a token."""
    server = Web(
        {"/live": page(lambda: Answer(HTTPStatus.OK, b"ok"))}, {"/metrics": Telemetry().page()}, TOKEN
    )
    yield server.start("127.0.0.1", 0)
    server.stop()


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer  {TOKEN}"])
def test_the_token_opens_the_guarded_pages(guarded, given):
    """With the token, whatever case its scheme has, a guarded page is like another."""
    assert ask(guarded, "/metrics", headers={"Authorization": given})[0] == 200
    assert ask(guarded, "/metrics", "HEAD", {"Authorization": given})[0] == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer wonder",
        "Bearer \xe9",
    ],
)
def test_without_the_token_a_guarded_page_is_closed(guarded, given):
    """Another token, none, or half of it is 401 and says what is wanted, not what it is; others are open."""
    headers = {} if given is None else {"Authorization": given}
    for method in ("GET", "HEAD"):
        status, answered, body = ask(guarded, "/metrics", method, headers)
        assert (status, answered["WWW-Authenticate"]) == (401, 'Bearer realm="nextclick"')
        assert TOKEN.encode() not in body
        assert ask(guarded, "/live", method, headers)[0] == 200
    assert ask(guarded, f"/metrics?token={TOKEN}", headers=headers)[0] == 401


def test_silent_clients_are_bounded(port, monkeypatch, capfd):
    """Clients that send nothing are let go after a while, and beyond a number of them at once."""
    monkeypatch.setattr(web._Handler, "timeout", 1.0)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(web.MOST_AT_ONCE)]
    beyond = socket.create_connection(("127.0.0.1", port), timeout=30)
    for connection in (beyond, *silent):
        with connection:
            assert connection.recv(1) == b""
    assert ask(port, "/status")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_away_is_no_error(port, capfd):
    """Nothing is printed where a client leaves, or sends what is no HTTP."""
    for sent in (b"GET /metrics HTTP/1.0\r\n\r\n", b"GET", b"\x16\x03\x01\x02\x00\x01", b"G" * 70_000):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(sent)
    assert ask(port, "/status")[0] == 200
    assert capfd.readouterr().err == ""


def test_an_address_of_ipv6():
    """An address with colons is one of IPv6."""
    server = Web({"/metrics": Telemetry().page()})
    try:
        assert ask(server.start("::1", 0), "/metrics", host="::1")[0] == 200
    finally:
        server.stop()
