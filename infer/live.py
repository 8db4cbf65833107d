"""Frames over a WebSocket: the newest one wins, and every answer says what it cost.

A client sends controls as JSON text (see ``infer.wish``) and frames as binary messages: a number,
uint32 in little-endian order, then a JPEG, PNG or WebP picture. After controls that are refused so
is every frame, with the same words, until others come. It gets back binary messages, three
such numbers (the frame's, microseconds that decoding, painting and encoding took, frames left out
so far) and the painting; or JSON text, ``{"status": 422, "error": "...", "frame": 7}``.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from contextlib import AbstractContextManager, suppress
from functools import partial

from fastapi import WebSocket, WebSocketDisconnect

from infer.server_limits import MAX_BODY_BYTES, Refusal, read_picture
from infer.shelf import Shelf
from infer.wish import Wish, wish_from_text
from infer.workers import Workers
from nst.errors import ImageError, NSTError, UsageError, in_one_line

MOST_CONTROLS_BYTES = 1_000_000
"""The longest text; a grid of 64 x 64 cells for three styles takes a third of it."""
_NUMBER = struct.Struct("<I")
_ANSWER = struct.Struct("<III")
_TOO_BIG = 1009


class Live:
    """One connection.

    Args:
        socket: Accepted already.
        shelf: The models there are.
        workers: Who paint.
        size: Long side that the network sees where the client asks for none, px.
    """

    def __init__(self, socket: WebSocket, shelf: Shelf, workers: Workers, *, size: int) -> None:
        self._socket = socket
        self._shelf = shelf
        self._workers = workers
        self._size = size
        self._wish: Wish | NSTError = UsageError("send controls before the first frame")
        self._waiting: bytes | None = None
        self._has_frame = asyncio.Event()
        self._dropped = 0

    async def run(self) -> None:
        """Serve until the client goes; a bug ends the connection."""
        tasks = [asyncio.create_task(work) for work in (self._receive(), self._paint_frames())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text, data = message.get("text"), message.get("bytes")
            longest = max(len(text or "") - MOST_CONTROLS_BYTES, len(data or b"") - MAX_BODY_BYTES)
            if longest > 0:
                await self._socket.close(_TOO_BIG, "larger than what is taken")
                return
            if text is not None:
                try:
                    self._wish = wish_from_text(text, self._shelf, size=self._size)
                except NSTError as error:
                    self._wish = error
                    await self._refuse(error)
            elif data is not None:
                if len(data) <= _NUMBER.size:
                    await self._refuse(UsageError("a frame is a number of 4 bytes and a picture"))
                    continue
                if self._waiting is not None:
                    self._dropped += 1
                self._waiting = data
                self._has_frame.set()

    async def _paint_frames(self) -> None:
        while True:
            await self._has_frame.wait()
            self._has_frame.clear()
            data, self._waiting = self._waiting, None
            if data is None:
                continue
            (number,) = _NUMBER.unpack_from(data)
            try:
                painted, micros = await self._workers.run(partial(_paint, data, self._wish))
            except NSTError as error:
                await self._refuse(error, number)
                continue
            with self._if_there():
                await self._socket.send_bytes(_ANSWER.pack(number, micros, self._dropped) + painted)

    async def _refuse(self, error: NSTError, frame: int | None = None) -> None:
        answer = {"status": status_of(error), "error": in_one_line(error), "frame": frame}
        with self._if_there():
            await self._socket.send_text(json.dumps(answer))

    def _if_there(self) -> AbstractContextManager[None]:
        """Pass over that the client has gone while something was on its way to it."""
        return suppress(WebSocketDisconnect, RuntimeError)


def status_of(error: NSTError) -> int:
    """Return the HTTP status that says what an error is."""
    if isinstance(error, Refusal):
        return error.status
    return 422 if isinstance(error, UsageError | ImageError) else 503


def _paint(data: bytes, wish: Wish | NSTError) -> tuple[bytes, int]:
    """Return the encoded painting and how long it took, microseconds."""
    if isinstance(wish, NSTError):
        raise wish.with_traceback(None)
    started_at = time.perf_counter()
    painted = wish.encode(wish.paint(read_picture(data[_NUMBER.size :]).rgb))
    return painted, min(round((time.perf_counter() - started_at) * 1e6), 0xFFFFFFFF)
