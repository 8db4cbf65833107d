"""What the server refuses: strangers, large bodies, slow bodies, pictures of other kinds."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst.errors import NSTError, PixelLimitError
from nst.image import Picture, load_image

MAX_BODY_BYTES = 20_000_000
"""The largest body of a request and the largest frame."""
MAX_PIXELS = 16_000_000
"""The largest picture that is decoded."""
REQUEST_S = 30.0
"""How long a body may take to arrive, and a picture to be painted."""
LINGER_S = 2.0
"""How long a body that is too large is read and forgotten behind the answer."""
RETRY_S = 2
"""When a client that was refused for want of room may come again."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp")

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""That of ``infer/web/index.html``, which has it for the folder without a server; a worker obeys
that of its own file."""
_CLOSE = {"connection": "close"}  # nobody reads the rest of that body
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Both together make the page "cross-origin isolated": WebAssembly may use threads.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
}


class Refusal(NSTError):
    """A request is refused.

    Args:
        status: The HTTP status.
        message: One line: what is wrong, what would be right.
        headers: That go with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    @classmethod
    def busy(cls, message: str) -> Refusal:
        """Return the refusal for want of room, 503 with Retry-After."""
        return cls(503, message, {"retry-after": str(RETRY_S)})

    def response(self) -> Response:
        """Return the answer to the client."""
        return error_response(self.status, str(self), self.headers)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as JSON, ``{"status": 413, "error": "..."}``."""
    return JSONResponse({"status": status, "error": message}, status, headers=headers)


class Guard:
    """ASGI middleware: only this page and programs of this computer get in.

    A page of another site can reach a server on 127.0.0.1 through the browser of its victim, with a
    name of its own that it lets point there (DNS rebinding) or by a WebSocket. So ``Host`` must be
    one of ours, and an ``Origin``, which browsers send, must be that same host. A token, where one
    is set, comes as ``Authorization: Bearer``, as a cookie, or once as ``/?token=``, which sets the
    cookie. No page of another site knows it, and the browser keeps the cookie for the name under
    which it was set: with a token any ``Host`` will do, as behind a web server that has TLS.

    Args:
        app: What is guarded.
        hosts: Names by which a server without a token may be called, without the port.
        token: What every client must know; None: nothing. ``/healthz`` needs none.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str] = LOOPBACK, token: str | None = None
    ) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        is_too_large = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_too_large
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                is_too_large = message["status"] == 413
            elif is_too_large and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await _discard(receive)
                message = {"type": message["type"], "body": b""}
            await send(message)

        answer = self._answer(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """Return what a request is refused with; None lets it pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.token is None and _host_name(host) not in self.hosts:
            return error_response(403, "this server is not called by that host name")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return error_response(403, "requests from pages of another origin are refused")
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return error_response(400, "Content-Length is no number")
        if length > MAX_BODY_BYTES:
            return _too_large().response()
        if self.token is None or scope["path"] == "/healthz":
            return None
        given = QueryParams(scope["query_string"]).get("token", "")
        if scope["type"] == "http" and scope["path"] == "/" and self._is_token(given):
            response = RedirectResponse("/", 303)
            # Lax, since the address may be followed from elsewhere; ``Origin`` does the rest.
            response.set_cookie(_cookie_name(scope), given, httponly=True, samesite="lax")
            return response
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer" and self._is_token(bearer.strip())
        if is_bearer or self._is_token(_cookie(headers, _cookie_name(scope))):
            return None
        challenge = {"www-authenticate": "Bearer"}
        return error_response(401, "a token is needed: open the page with /?token=...", challenge)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


async def _discard(receive: Receive) -> None:
    """Let a client send on for a moment, who is answered already and still has to read that.

    A connection that is closed while data comes in is reset, and what its client has not yet read
    of the answer is lost.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass


async def read_body(request: Request) -> bytes:
    """Read the body of a request; what it claims is checked, and what comes is counted.

    Raises:
        Refusal: 413 too large, 415 compressed, 408 too slow, 400 broken off, 422 empty.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "a compressed body is not taken; send the picture as it is")
    parts, size = [], 0
    try:
        async with asyncio.timeout(REQUEST_S):
            async for part in request.stream():
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {REQUEST_S:g} s", _CLOSE) from None
    except ClientDisconnect:
        raise Refusal(400, "the body broke off") from None
    if size == 0:
        raise Refusal(422, "the body is empty; send a picture")
    return b"".join(parts)


def check_picture_type(content_type: str) -> None:
    """Refuse a body that says it is no picture.

    Raises:
        Refusal: 415.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in PICTURE_TYPES:
        raise Refusal(415, f"send a picture with Content-Type {' or '.join(PICTURE_TYPES)}")


def read_picture(data: bytes) -> Picture:
    """Decode a picture from outside: JPEG, PNG or WebP, of ``MAX_PIXELS`` at most.

    Raises:
        Refusal: 415 another format, 413 too many pixels.
        ImageError: It is damaged.
    """
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if not (is_webp or data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))):
        raise Refusal(415, "the body is no JPEG, PNG or WebP picture")
    try:
        return load_image(data, max_pixels=MAX_PIXELS)
    except PixelLimitError as error:
        raise Refusal(413, str(error)) from None


def _too_large() -> Refusal:
    return Refusal(
        413, f"larger than {MAX_BODY_BYTES // 1_000_000} MB, the most that is taken", _CLOSE
    )


def _host_name(host: str) -> str:
    """Return a Host header without the port: ``[::1]:80`` is ``[::1]``."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and (port.isdigit() or not port) else host.lower()


def _cookie_name(scope: Scope) -> str:
    """Return a name of this server alone: a browser gives cookies to all ports of a host."""
    _, port = scope.get("server") or ("", 0)
    return f"nst_token_{port}"


def _cookie(headers: Headers, name: str) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""
