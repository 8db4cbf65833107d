"""How fast photographs reach a training: part of ``nst bench train``."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from nst.image import encode_image, load_image
from nst.runtime import wait_for
from train.cache import Cache
from train.data import ROOM, Photographs
from train.feed import Crops, DeviceFeed, HostFeed

PHOTOGRAPHS = 256
JPEG_PX = (480, 640)
"""Height and width of the JPEG files that are decoded: MS-COCO's usual size."""
COUNTED_S = 1.0
"""Each path is measured for at least so long."""


def feed_rates(*, size: int, batch: int, device: torch.device) -> dict[str, float]:
    """Return images a second of each way to a batch of crops.

    Photographs are noise, which is as slow as any: uint8 in memory for the crops, JPEG files in
    memory for the decoding that is done once.

    Args:
        size: Side of the crops, px.
        batch: Photographs in a step.
        device: Where batches are wanted.
    """
    workers = os.cpu_count() or 1
    photographs, crops = noise_photographs(size), Crops(batch=batch, size=size, seed=0)
    host = HostFeed(photographs, crops, device, workers)
    resident = DeviceFeed(photographs, crops, device)
    return {
        f"decoding JPEG to the cache, {workers} threads": _decoding_rate(size, workers),
        f"cut by {workers} threads": _rate(host.batches, batch, device),
        f"cut on the device ({device.type})": _rate(resident.batches, batch, device),
    }


def noise_photographs(size: int) -> Photographs:
    """Return 256 photographs of noise, decoded for crops of ``size`` px."""
    side = round(size * ROOM)
    height, width = side, round(side * 4 / 3)
    shape = (PHOTOGRAPHS, height, width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    sizes = np.tile(np.array([[height, width]], np.int64), (PHOTOGRAPHS, 1))
    cache = Cache("noise", "noise", sizes, {}, [pixels.reshape(-1)], PHOTOGRAPHS)
    return Photographs([cache])


def _rate(
    batches: Callable[[int, int], Iterator[torch.Tensor]], batch: int, device: torch.device
) -> float:
    warm_up = max(1, PHOTOGRAPHS // batch)  # all photographs once
    count, started_at = 0, time.perf_counter()
    for step, _ in enumerate(batches(0, 10**9)):
        if step == warm_up:
            wait_for(device)
            count, started_at = 0, time.perf_counter()
        count += batch
        if step > warm_up and time.perf_counter() - started_at > COUNTED_S:
            break
    wait_for(device)
    return count / (time.perf_counter() - started_at)


def _decoding_rate(size: int, workers: int) -> float:
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (JPEG_PX[0] // 8, JPEG_PX[1] // 8, 3), dtype=np.uint8)
    jpeg = encode_image(smooth.repeat(8, 0).repeat(8, 1), format="jpeg", quality=90)
    side, count = round(size * ROOM), 32 * workers
    with ThreadPoolExecutor(workers) as pool:
        started_at = time.perf_counter()
        for _ in pool.map(lambda _: load_image(io.BytesIO(jpeg), short_side=side), range(count)):
            pass
        return count / (time.perf_counter() - started_at)
