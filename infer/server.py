"""The live studio: a page, its models, pictures in, paintings out. Paints without torch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from infer import web_runtime
from infer.live import Live, status_of
from infer.server_limits import (
    LOOPBACK,
    MAX_BODY_BYTES,
    Guard,
    Refusal,
    check_picture_type,
    error_response,
    read_body,
    read_picture,
)
from infer.shelf import Shelf
from infer.web_page import manifest, page_files
from infer.wish import FORMATS, Wish, wish_from_query
from infer.workers import Workers
from nst.errors import NSTError, in_one_line

KINDS = {
    **{".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"},
    **{".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"},
}
"""By suffix; the system's own table may call a script a text, which no browser runs then."""
WORKERS = 2
"""Threads that decode, paint and encode: while one waits for the hardware the other works."""
MOST_BODIES = 16
"""Bodies that are read at the same time, which bounds their memory."""
MOST_LIVE = 8
"""Connections for frames at the same time."""
TRY_AGAIN_LATER = 1013
"""A close code of WebSocket (RFC 6455, section 7.4, and IANA's registry)."""


def create_app(
    shelf: Shelf,
    *,
    hosts: Iterable[str] = LOOPBACK,
    token: str | None = None,
    size: int = 512,
    runtime: Path | None = None,
    workers: int = WORKERS,
) -> ASGIApp:
    """Return the application.

    Args:
        shelf: The models it offers.
        hosts: Names by which a server without a token may be called.
        token: What every client must know; None: nothing.
        size: Long side that the network sees where a client asks for none, px.
        runtime: The folder of onnxruntime-web, when the page can paint in the browser too.
        workers: Threads that paint.
    """
    painters = Workers(workers)
    bodies = asyncio.Semaphore(MOST_BODIES)
    live: set[Live] = set()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        painters.close()

    # The pages that FastAPI makes of its own come from other hosts: there are none.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_errors(app)

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "painting": painters.inside, "live": len(live)}

    @app.post("/paint")
    async def paint(request: Request) -> Response:
        wish = wish_from_query(request.query_params.multi_items(), shelf, size=size)
        check_picture_type(request.headers.get("content-type", ""))
        if bodies.locked():
            raise Refusal.busy("too many pictures at the same time; try again")
        async with bodies:
            data = await read_body(request)
            painted = await painters.run(partial(_paint, data, wish))
        return Response(painted, media_type=FORMATS[wish.format])

    @app.websocket("/live")
    async def frames(socket: WebSocket) -> None:
        if len(live) >= MOST_LIVE:
            # Taken and ended, since a page is not told why one is not taken.
            await socket.accept()
            await socket.close(TRY_AGAIN_LATER, "too many connections for frames; close a page")
            return
        connection = Live(socket, shelf, painters, size=size)
        live.add(connection)
        try:
            await socket.accept()
            await connection.run()
        finally:
            live.discard(connection)

    _add_files(app, shelf, size=size, runtime=runtime)
    return Guard(app, hosts=hosts, token=token)  # outermost: answers to bugs have its headers too


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return the server that runs an application, with its limits."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MAX_BODY_BYTES + 4,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    return uvicorn.Server(config)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line is worth stderr: uvicorn calls every refused WebSocket an error of ours."""
    return "without completing handshake" not in record.msg


def _paint(data: bytes, wish: Wish) -> bytes:
    return wish.encode(wish.paint(read_picture(data).rgb))


def _add_files(app: FastAPI, shelf: Shelf, *, size: int, runtime: Path | None) -> None:
    """Serve what the page is made of, at the addresses that a static folder has too."""
    pages = page_files()
    models = {model.name: model for model in shelf}
    known = manifest(shelf, size=size, is_served=True, has_runtime=runtime is not None)

    @app.get("/models.json")
    async def models_json() -> JSONResponse:
        return JSONResponse(known)

    @app.get("/thumbnails/{name}/{number}.jpg")
    async def thumbnail(name: str, number: int) -> Response:
        if name not in models or not 0 <= number < len(models[name].thumbnails):
            raise HTTPException(404)
        return Response(models[name].thumbnails[number], media_type="image/jpeg")

    @app.get("/models/{name}.onnx")
    async def model_file(name: str) -> Response:
        if name not in models:
            raise HTTPException(404)
        return Response(models[name].data, media_type="application/octet-stream")

    @app.get(f"/{web_runtime.FOLDER}/{{name}}")
    async def runtime_file(name: str) -> FileResponse:
        if runtime is None or name not in web_runtime.FILES:
            raise HTTPException(404)
        kind = KINDS[Path(name).suffix]
        headers = {"cache-control": "max-age=31536000, immutable"}  # the address holds the version
        return FileResponse(runtime / name, media_type=kind, headers=headers)

    def add_page(address: str, name: str) -> None:
        kind = KINDS[Path(name).suffix]

        @app.get(address)
        async def page() -> Response:
            return Response(pages[name], media_type=kind)

    add_page("/", "index.html")
    for name in pages:
        add_page(f"/{name}", name)


def _add_errors(app: FastAPI) -> None:
    """Answer every error as JSON; a bug is written to stderr with its traceback, by the server."""

    @app.exception_handler(NSTError)
    async def ours(request: Request, error: NSTError) -> Response:
        headers = error.headers if isinstance(error, Refusal) else None
        return error_response(status_of(error), in_one_line(error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return error_response(422, f"{first['loc'][-1]}: {first['msg'].lower()}")

    @app.exception_handler(StarletteHTTPException)
    async def http(request: Request, error: StarletteHTTPException) -> Response:
        return error_response(error.status_code, error.detail, error.headers)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return error_response(500, "an error of the program; its terminal says more")
