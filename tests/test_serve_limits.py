"""Bad requests to a real server: the right status, as JSON, and it goes on. Truth: the limits.

Those are 20 MB, 16 million pixels, JPEG, PNG and WebP, 30 s, only our host and origin, errors as
JSON with 413, 415, 422 or 503, and nothing of the file system.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from infer import server_limits, shelf
from infer.workers import Workers
from nst.image import encode_image

Serving = Callable[..., AbstractContextManager[int]]
Wait = Callable[[Callable[[], bool]], None]
TOKEN = "0123456789abcdef-token"
JPEG = {"Content-Type": "image/jpeg"}
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def port(invert_model: Path, serving: Serving) -> Iterator[int]:
    with serving(invert_model) as port:
        yield port


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return encode_image(np.full((20, 30, 3), 80, np.uint8), format="jpeg")


def ask(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Send one request as it stands; the path is not touched."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None and "Content-Length" not in (headers or {}):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body is not None:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may refuse before the end
                connection.send(body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def check_refused(answer: tuple[int, dict[str, str], bytes], status: int) -> str:
    """An error is JSON of one line, without a path or a traceback; return its words."""
    assert answer[0] == status, answer
    assert answer[1]["content-type"] == "application/json"
    assert answer[1]["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer[1]
    said = json.loads(answer[2])
    assert said["status"] == status
    words = str(said["error"])
    assert words.strip()
    assert "\n" not in words
    assert "Traceback" not in words
    assert "/infer/" not in words
    return words


def check_healthy(port: int) -> None:
    status, _, body = ask(port, "GET", "/healthz")
    assert (status, json.loads(body)["status"]) == (200, "ok")


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size, grey, 8 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


def animated_png() -> bytes:
    buffer = BytesIO()
    frames = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(3)]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def as_format(format: str) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), (9, 8, 7)).save(buffer, format)
    return buffer.getvalue()


def with_a_wrong_byte() -> bytes:
    data = bytearray(as_format("PNG"))
    data[data.index(b"IDAT") + 6] ^= 0xFF
    return bytes(data)


GOOD = as_format("JPEG")
BAD: dict[str, tuple[int, str, str, dict[str, str], bytes | None]] = {
    # name: status, method, path, headers, body
    # size
    "21 MB": (413, "POST", "/paint", PNG, b"\x89PNG" + bytes(21_000_000)),
    "claims 100 MB": (413, "POST", "/paint", JPEG | {"Content-Length": "100000000"}, b""),
    "claims 100 MB at /": (413, "GET", "/", {"Content-Length": "100000000"}, None),
    "claims 10^30 bytes": (413, "POST", "/paint", JPEG | {"Content-Length": "1" + "0" * 19}, b""),
    "empty": (422, "POST", "/paint", JPEG, b""),
    "400 megapixels claimed": (413, "POST", "/paint", PNG, png_claiming(20_000, 20_000)),
    "16.008 megapixels claimed": (413, "POST", "/paint", PNG, png_claiming(4_000, 4_002)),
    "2 gigapixels in a line": (413, "POST", "/paint", PNG, png_claiming(2_000_000_000, 1)),
    "4 megapixels claimed, 1000 bytes": (422, "POST", "/paint", PNG, png_claiming(2_000, 2_000)),
    "no pixels": (422, "POST", "/paint", PNG, png_claiming(0, 5)),
    # type
    "no type": (415, "POST", "/paint", {}, GOOD),
    "text": (415, "POST", "/paint", {"Content-Type": "text/plain"}, GOOD),
    "form": (415, "POST", "/paint", {"Content-Type": "multipart/form-data; boundary=x"}, GOOD),
    "svg": (415, "POST", "/paint", {"Content-Type": "image/svg+xml"}, b"<svg/>"),
    "html called jpeg": (415, "POST", "/paint", JPEG, b"<!doctype html><html></html>"),
    "svg called png": (415, "POST", "/paint", PNG, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "tiff called png": (415, "POST", "/paint", PNG, as_format("TIFF")),
    "bmp called png": (415, "POST", "/paint", PNG, as_format("BMP")),
    "gif called png": (415, "POST", "/paint", PNG, as_format("GIF")),
    "ppm called png": (415, "POST", "/paint", PNG, as_format("PPM")),
    "zip called png": (415, "POST", "/paint", PNG, b"PK\x03\x04" + bytes(40)),
    "noise": (415, "POST", "/paint", JPEG, bytes(range(256))),
    "gzip": (415, "POST", "/paint", JPEG | {"Content-Encoding": "gzip"}, GOOD),
    # damage
    "half a jpeg": (422, "POST", "/paint", JPEG, GOOD[: len(GOOD) // 2]),
    "a jpeg's first bytes": (422, "POST", "/paint", JPEG, GOOD[:4]),
    "a png's first bytes": (422, "POST", "/paint", PNG, b"\x89PNG\r\n\x1a\n"),
    "a png with a wrong byte": (422, "POST", "/paint", PNG, with_a_wrong_byte()),
    "a webp's first bytes": (422, "POST", "/paint", PNG, b"RIFF\x10\0\0\0WEBPVP8 "),
    "animated": (422, "POST", "/paint", PNG, animated_png()),
    # controls
    "no such model": (422, "POST", "/paint?model=nobody", JPEG, GOOD),
    "model as a path": (422, "POST", "/paint?model=../../etc/passwd", JPEG, GOOD),
    "model as a URL": (422, "POST", "/paint?model=http://169.254.169.254/x", JPEG, GOOD),
    "model with a NUL": (422, "POST", "/paint?model=invert%00", JPEG, GOOD),
    "no such style": (422, "POST", "/paint?style=nobody", JPEG, GOOD),
    "strength 2": (422, "POST", "/paint?strength=2", JPEG, GOOD),
    "strength nan": (422, "POST", "/paint?strength=nan", JPEG, GOOD),
    "strength a word": (422, "POST", "/paint?strength=much", JPEG, GOOD),
    "colours a word": (422, "POST", "/paint?original_colors=maybe", JPEG, GOOD),
    "a misspelt control": (422, "POST", "/paint?strenght=0.5", JPEG, GOOD),
    "a grid as a text": (422, "POST", "/paint?mix=1", JPEG, GOOD),
    "texture without noise": (422, "POST", "/paint?texture=2", JPEG, GOOD),
    "size 0": (422, "POST", "/paint?size=0", JPEG, GOOD),
    "size 10^9": (422, "POST", "/paint?size=1000000000", JPEG, GOOD),
    "format exe": (422, "POST", "/paint?format=exe", JPEG, GOOD),
    "quality 0": (422, "POST", "/paint?format=jpeg&quality=0", JPEG, GOOD),
    # path and method
    "up": (404, "GET", "/../../etc/passwd", {}, None),
    "up, encoded": (404, "GET", "/%2e%2e/%2e%2e/etc/passwd", {}, None),
    "up from the models": (404, "GET", "/models/..%2f..%2fetc%2fpasswd.onnx", {}, None),
    "up from the runtime": (404, "GET", "/onnxruntime-web-1.30.0/..%2f..%2fpasswd", {}, None),
    "up with backslashes": (404, "GET", "/..\\..\\windows\\win.ini", {}, None),
    "a file of the program": (404, "GET", "/server.py", {}, None),
    "no such thumbnail": (404, "GET", "/thumbnails/invert/1.jpg", {}, None),
    "a thumbnail before the first": (404, "GET", "/thumbnails/invert/-1.jpg", {}, None),
    "a thumbnail by a word": (422, "GET", "/thumbnails/invert/x.jpg", {}, None),
    "documentation": (404, "GET", "/docs", {}, None),
    "a description for machines": (404, "GET", "/openapi.json", {}, None),
    "get paint": (405, "GET", "/paint", {}, None),
    "delete": (405, "DELETE", "/models.json", {}, None),
    "post the page": (405, "POST", "/", JPEG, GOOD),
    "options from elsewhere": (
        *(403, "OPTIONS", "/paint"),
        *({"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}, None),
    ),
    # host and origin
    "another host": (403, "GET", "/", {"Host": "evil.example"}, None),
    "another host, rebound": (403, "POST", "/paint", JPEG | {"Host": "evil.example:80"}, GOOD),
    "localhost as a part": (403, "GET", "/", {"Host": "localhost.evil.example"}, None),
    "a host after ours": (403, "GET", "/", {"Host": "127.0.0.1.evil.example"}, None),
    "a user before the host": (403, "GET", "/", {"Host": "127.0.0.1@evil.example"}, None),
    "no host": (403, "GET", "/", {"Host": ""}, None),
    "another origin": (403, "POST", "/paint", JPEG | {"Origin": "https://evil.example"}, GOOD),
    "half an origin": (403, "GET", "/", {"Origin": "http://["}, None),
    "a null origin": (403, "POST", "/paint", JPEG | {"Origin": "null"}, GOOD),
    "another port's origin": (403, "POST", "/paint", JPEG | {"Origin": "http://127.0.0.1:1"}, GOOD),
}


def test_there_are_fifty() -> None:
    assert len(BAD) >= 50


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused(port: int, name: str) -> None:
    status, method, path, headers, body = BAD[name]
    words = check_refused(ask(port, method, path, headers, body), status)
    assert "passwd" not in words
    check_healthy(port)


def raw(port: int, *parts: bytes, ends: bool = True) -> bytes:
    """Send bytes as they are; return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = b""
        with suppress(OSError):  # it may hang up before the end
            for part in parts:
                connection.sendall(part)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                answer += data
        return answer


HEAD = b"POST /paint HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((HEAD + b"Content-Length: 5000\r\n\r\n\xff\xd8\xff",), b""),  # the client broke off
        ((HEAD + b"Content-Length: -1\r\n\r\n",), b"HTTP/1.1 400"),
        ((HEAD + b"Content-Length: abc\r\n\r\n",), b"HTTP/1.1 400"),
        ((HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",), b"HTTP/1.1 400"),
        ((HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",), b""),
        ((b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(64),), b"HTTP/1.1 400"),  # TLS
        ((b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",), b""),
        ((b"GET / HTTP/1.1\r\n\r\n",), b"HTTP/1.1 400"),  # no Host
        ((b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",), b"HTTP/1.1 400"),
    ],
    ids=(
        *("broken off", "negative", "a word", "two lengths", "bad chunk"),
        *("TLS", "a huge head", "no host", "two hosts"),
    ),
)
def test_bad_bytes_do_no_harm(port: int, parts: tuple[bytes, ...], expected: bytes) -> None:
    assert raw(port, *parts).startswith(expected)
    check_healthy(port)


def test_what_follows_a_body_is_another_request(port: int) -> None:
    """A length that is too small: the rest is no part of the picture, and no request either."""
    sent = HEAD + b"Content-Length: 3\r\n\r\n\xff\xd8\xffGET / HTTP/9\r\n\r\n"
    answer = raw(port, sent, ends=False)
    assert answer.startswith(b"HTTP/1.1 422")
    assert b"HTTP/1.1 400" in answer
    check_healthy(port)


def test_a_body_that_does_not_say_its_length_is_counted(port: int) -> None:
    """Chunks of 1 MB without an end: 413 after 20 of them."""
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(24):
                connection.sendall(chunk)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    check_healthy(port)


def test_a_slow_body_is_given_up(
    invert_model: Path, monkeypatch: pytest.MonkeyPatch, serving: Serving
) -> None:
    monkeypatch.setattr(server_limits, "REQUEST_S", 0.3)
    with serving(invert_model) as port:
        sent = HEAD + b"Content-Length: 500\r\n\r\n\xff\xd8\xff"
        assert raw(port, sent, ends=False).startswith(b"HTTP/1.1 408")
        check_healthy(port)


class Gate:
    """A model's run that waits until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        paint = shelf.Model.paint

        def wait(model: shelf.Model, rgb: Any, **options: Any) -> Any:
            self.entered.release()
            assert self.opened.wait(30)
            return paint(model, rgb, **options)

        monkeypatch.setattr(shelf.Model, "paint", wait)


def test_a_full_queue_says_when_to_come_again(
    invert_model: Path,
    jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
    serving: Serving,
) -> None:
    """Fifty at once, one worker: three get in, the others 503; then all is as before."""
    with serving(invert_model, workers=1) as port:
        gate = Gate(monkeypatch)
        with ThreadPoolExecutor(50) as clients:
            asked = [clients.submit(ask, port, "POST", "/paint", JPEG, jpeg) for _ in range(50)]
            wait_until(lambda: sum(one.done() for one in asked) == 47)
            check_healthy(port)
            gate.opened.set()
            answers = [one.result() for one in asked]
        statuses = sorted(status for status, _, _ in answers)
        assert statuses == [200] * 3 + [503] * 47
        for answer in answers:
            if answer[0] == 503:
                check_refused(answer, 503)
                assert int(answer[1]["retry-after"]) > 0
        assert ask(port, "POST", "/paint", JPEG, jpeg)[0] == 200


def test_slow_work_keeps_its_place(
    invert_model: Path,
    jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Wait,
    serving: Serving,
) -> None:
    """The client hears 503 in time; the thread that cannot be stopped is not counted as free."""
    patient = Workers.__init__
    monkeypatch.setattr(
        Workers, "__init__", lambda self, count: patient(self, count, patience_s=0.2)
    )
    with serving(invert_model, workers=1) as port:
        gate = Gate(monkeypatch)
        check_refused(ask(port, "POST", "/paint", JPEG, jpeg), 503)

        def painting() -> int:
            return int(json.loads(ask(port, "GET", "/healthz")[2])["painting"])

        assert painting() == 1
        gate.opened.set()
        wait_until(lambda: painting() == 0)
        assert ask(port, "POST", "/paint", JPEG, jpeg)[0] == 200


def test_bodies_are_read_by_a_few_at_a_time(
    invert_model: Path, jpeg: bytes, wait_until: Wait, serving: Serving
) -> None:
    """Sixteen clients that send nothing fill the room for bodies, and so bound the memory."""
    with serving(invert_model) as port:
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
        try:
            for one in slow:
                one.sendall(HEAD + b"Content-Length: 500\r\n\r\n")
            wait_until(lambda: ask(port, "POST", "/paint", JPEG, jpeg)[0] == 503)
            check_healthy(port)
        finally:
            for one in slow:
                one.close()
        wait_until(lambda: ask(port, "POST", "/paint", JPEG, jpeg)[0] == 200)


def test_a_bug_shows_no_traceback(
    invert_model: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, capfd: Any, serving: Serving
) -> None:
    def fail(*_: Any, **options: Any) -> None:
        raise ZeroDivisionError("secret")

    with serving(invert_model) as port:
        monkeypatch.setattr(shelf.Model, "paint", fail)
        words = check_refused(ask(port, "POST", "/paint", JPEG, jpeg), 500)
        assert "secret" not in words
        check_healthy(port)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_bug_ends_the_connection_for_frames(
    invert_model: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, capfd: Any, serving: Serving
) -> None:
    def fail(*_: Any, **options: Any) -> None:
        raise ZeroDivisionError("secret")

    with serving(invert_model) as port:
        monkeypatch.setattr(shelf.Model, "paint", fail)
        with connect(f"ws://127.0.0.1:{port}/live") as live:
            live.send("{}")
            live.send(b"\1\0\0\0" + jpeg)
            with pytest.raises(ConnectionClosed):
                live.recv(timeout=20)
        check_healthy(port)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_clients_that_go_in_the_middle_leave_nothing(
    port: int, jpeg: bytes, wait_until: Wait
) -> None:
    for _ in range(8):
        with connect(f"ws://127.0.0.1:{port}/live") as live:
            live.send("{}")
            live.send(b"\1\0\0\0" + jpeg)

    def is_idle() -> bool:
        state = json.loads(ask(port, "GET", "/healthz")[2])
        return (state["painting"], state["live"]) == (0, 0)

    wait_until(is_idle)
    with connect(f"ws://127.0.0.1:{port}/live") as live:
        live.send("{}")
        live.send(b"\1\0\0\0" + jpeg)
        assert isinstance(live.recv(timeout=20), bytes)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 403)],
)
def test_a_socket_from_elsewhere_is_refused(
    port: int, headers: dict[str, str], status: int
) -> None:
    request = b"GET /live HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    for name, value in ({"Host": "127.0.0.1"} | headers).items():
        request += f"{name}: {value}\r\n".encode()
    assert raw(port, request + b"\r\n").startswith(f"HTTP/1.1 {status}".encode())
    check_healthy(port)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("no JSON", 422),
        ("[1]", 422),
        ("[" * 100_000, 422),
        ('{"model": "nobody"}', 422),
        ('{"model": ["invert"]}', 422),
        ('{"colour": 1}', 422),
        ('{"strength": NaN}', 422),
        ('{"strength": "1"}', 422),
        ('{"strength": true}', 422),
        ('{"original_colors": 1}', 422),
        ('{"mix": {"height": 1, "width": 1, "values": [0, 1]}}', 422),
        (b"", 422),
        (b"\1\0\0\0", 422),
        (b"\1\0\0\0no picture", 415),
        (b"\1\0\0\0" + GOOD[:100], 422),
        (b"\1\0\0\0" + png_claiming(20_000, 20_000), 413),
    ],
    ids=repr,
)
def test_a_bad_message_is_answered_and_the_connection_stays(
    port: int, message: str | bytes, status: int
) -> None:
    with connect(f"ws://127.0.0.1:{port}/live") as live:
        live.send('{"format": "png"}')
        live.send(message)
        answer = json.loads(live.recv(timeout=20))
        assert answer["status"] == status
        assert "\n" not in answer["error"]
        live.send('{"format": "png"}')
        live.send(b"\2\0\0\0" + GOOD)
        painted = live.recv(timeout=20)
        assert isinstance(painted, bytes)
        assert painted[12:16] == b"\x89PNG"


def test_a_frame_before_the_controls_is_refused(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/live") as live:
        live.send(b"\7\0\0\0" + GOOD)
        answer = json.loads(live.recv(timeout=20))
        assert (answer["status"], answer["frame"]) == (422, 7)


@pytest.mark.parametrize("message", [bytes(21_000_000), "x" * 1_000_001])
def test_a_message_that_is_too_large_ends_the_connection(port: int, message: str | bytes) -> None:
    with connect(f"ws://127.0.0.1:{port}/live") as live:
        with suppress(ConnectionClosed):
            live.send(message)
        with pytest.raises(ConnectionClosed) as end:
            live.recv(timeout=20)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1009
    check_healthy(port)


def test_connections_are_counted(invert_model: Path, serving: Serving) -> None:
    with serving(invert_model) as port, ExitStack() as taken:
        address = f"ws://127.0.0.1:{port}/live"
        for _ in range(8):
            taken.enter_context(connect(address))
        with connect(address) as one_more, pytest.raises(ConnectionClosed) as end:
            one_more.recv(timeout=20)
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == 1013  # of the IANA's registry: Try Again Later
        assert end.value.rcvd.reason == "too many connections for frames; close a page"
        check_healthy(port)


def test_a_token_is_asked_for(
    invert_model: Path, jpeg: bytes, capfd: Any, serving: Serving
) -> None:
    with serving(invert_model, token=TOKEN) as port:
        check_healthy(port)
        for path in ("/", "/models.json", "/models/invert.onnx", "/?token=wrong"):
            answer = ask(port, "GET", path)
            check_refused(answer, 401)
            assert answer[1]["www-authenticate"] == "Bearer"
        check_refused(ask(port, "POST", "/paint", JPEG, jpeg), 401)
        for value in ("Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer ÿ"):
            headers = JPEG | {"Authorization": value}
            check_refused(ask(port, "POST", "/paint", headers, jpeg), 401)
        headers = JPEG | {"Authorization": f"Bearer {TOKEN}"}
        foreign = headers | {"Origin": "https://evil.example"}
        check_refused(ask(port, "POST", "/paint", foreign, jpeg), 403)
        proxied = {"Host": "studio.example", "Origin": "https://studio.example"}
        assert ask(port, "POST", "/paint", headers | proxied, jpeg)[0] == 200
        assert ask(port, "POST", "/paint", headers, jpeg)[0] == 200
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{port}/live"):
            pass
        assert refused.value.response.status_code == 401
    assert capfd.readouterr().err == ""  # a refusal is nothing to write of


def test_a_token_in_the_address_becomes_a_cookie(invert_model: Path, serving: Serving) -> None:
    with serving(invert_model, token=TOKEN) as port:
        status, headers, _ = ask(port, "GET", f"/?token={TOKEN}")
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        sent = {"Cookie": cookie.partition(";")[0]}
        assert ask(port, "GET", "/", sent)[0] == 200
        with connect(f"ws://127.0.0.1:{port}/live", additional_headers=sent):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is Linux's")
def test_memory_is_bounded(
    invert_model: Path, wait_until: Wait, measured: Callable[[str, object], None]
) -> None:
    """The whole program: 100 MB announced, 100 MB in chunks, fifty bodies of 19 MB at once.

    By hand: sixteen bodies of 20 MB are read at a time, each of them twice in memory for a moment;
    fifty would be 1.9 GB.
    """
    command = ["serve", str(invert_model), "--port", "0", "--provider", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-m", "nst", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().decode().rsplit(":", 1)[1].strip("/\n"))
        try:
            assert ask(port, "POST", "/paint", JPEG, GOOD)[0] == 200
            before = peak_bytes(process.pid)
            check_refused(ask(port, "POST", "/paint", PNG, bytes(100_000_000)), 413)
            chunks = (b"100000\r\n" + bytes(0x100000) + b"\r\n" for _ in range(96))
            raw(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks)
            body = b"\x89PNG\r\n\x1a\n" + bytes(19_000_000)
            with ThreadPoolExecutor(50) as clients:
                asked = [clients.submit(status_of, port, body) for _ in range(50)]
                statuses = {one.result() for one in asked}
            assert statuses <= {422, 503, None}  # None: it hung up on a body that nobody reads
            check_healthy(port)
            wait_until(lambda: ask(port, "POST", "/paint", JPEG, GOOD)[0] == 200)
            grown = peak_bytes(process.pid) - before
        finally:
            process.terminate()
            process.wait(20)
    assert grown < 700e6
    measured("peak above the start, MB", round(grown / 1e6))


def peak_bytes(process: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def status_of(port: int, body: bytes) -> int | None:
    try:
        return ask(port, "POST", "/paint", PNG, body)[0]
    except (OSError, HTTPException):  # the second: reset in the middle of its answer
        return None
