"""Memory of runs in several threads. Truth: by hand, on a model that needs 6 bytes a pixel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import infer.memory
from infer.session import Session
from infer.shelf import Model, open_shelf
from nst.errors import InferenceError
from nst.memory import USABLE

Array = NDArray[np.uint8]
PICTURE = np.full((10, 10, 3), 200, np.uint8)
NEEDED = 6 * 10 * 10


@pytest.fixture(params=[False, True], ids=["one model", "two models"])
def models(request: pytest.FixtureRequest, invert_model: Path) -> list[Model]:
    shelf = list(open_shelf([invert_model, invert_model], "cpu"))
    return shelf if request.param else [shelf[0], shelf[0]]


def paint_both(models: list[Model], monkeypatch: pytest.MonkeyPatch) -> int:
    """Paint in two threads, the second while the first is at it; return how many were at once."""
    lock, has_begun, run = threading.Lock(), threading.Event(), Session.run
    running, most = 0, 0

    def slow(session: Session, images: Array, **options: Any) -> Array:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        has_begun.set()
        time.sleep(0.3)
        with lock:
            running -= 1
        return run(session, images, **options)

    def paint(model: Model) -> Array:
        return model.paint(PICTURE, mix=None, texture=1.0)

    monkeypatch.setattr(Session, "run", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(paint, models[0])
        assert has_begun.wait(20)
        second = pool.submit(paint, models[1])
        for painted in (first, second):
            assert np.array_equal(painted.result(20), 255 - PICTURE)
    return most


def free(count: float) -> Callable[[], int]:
    """Return what tells that so many of the pictures fit."""
    return lambda: int(count * NEEDED / USABLE)


@pytest.mark.parametrize(("fitting", "at_once"), [(1.9, 1), (2.1, 2)])
def test_what_does_not_fit_beside_the_first_waits(
    models: list[Model], monkeypatch: pytest.MonkeyPatch, fitting: float, at_once: int
) -> None:
    monkeypatch.setattr(infer.memory, "free_bytes", free(fitting))
    assert paint_both(models, monkeypatch) == at_once


def test_what_is_refused_or_fails_holds_nothing(
    models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(session: Session, images: Array, **options: Any) -> Array:
        raise InferenceError("failed")

    monkeypatch.setattr(infer.memory, "free_bytes", free(0.9))
    with pytest.raises(InferenceError, match="the picture: 10x10 px need"):
        models[0].paint(PICTURE, mix=None, texture=1.0)
    monkeypatch.setattr(infer.memory, "free_bytes", free(1.1))
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", fail)
        with pytest.raises(InferenceError, match="failed"):
            models[0].paint(PICTURE, mix=None, texture=1.0)
    assert np.array_equal(models[1].paint(PICTURE, mix=None, texture=1.0), 255 - PICTURE)
