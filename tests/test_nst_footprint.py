"""The memory of the reference mode. Truths: by hand, and by the system's own account."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

import nst.footprint
from nst.config import OptimizeConfig
from nst.errors import InferenceError
from nst.footprint import bytes_per_pixel, check_memory
from nst.presets import PRESETS, Preset, Tap
from nst.runtime import is_out_of_memory
from nst.weights import VGGWeights


def weights_of(channels: int) -> VGGWeights:
    """Three convolutions of one width, which need not hold anything."""
    tensors = {}
    before = 3
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        tensors[f"{name}.weight"] = torch.empty(channels, before, 3, 3)
        tensors[f"{name}.bias"] = torch.empty(channels)
        before = channels
    return VGGWeights(tensors=tensors)


def test_a_prediction_by_hand() -> None:
    """conv1_1 and conv1_2 in full size, the pooling layer and conv2_1 in a quarter of the pixels.

    At half size once more a quarter of conv1_1.
    """
    weights = weights_of(16)
    preset = Preset("by hand", Tap("relu2_1"), (Tap("relu1_1"), Tap("relu1_1", 2)))
    kept = 16 + 16 + 16 / 4 + 16 / 4 + 16 / 4
    fixed = nst.footprint.PICTURES_BYTES + nst.footprint.PAIRS_BYTES
    found = bytes_per_pixel(weights, preset, torch.float32)
    assert found == fixed + 4 * kept + 19 * 16
    found = bytes_per_pixel(weights, preset, torch.bfloat16)
    assert found == fixed + 2 * kept + 11 * 16


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_less_is_taken_by_half_precision_and_by_narrow_weights(
    tiny_vgg: VGGWeights, preset: Preset
) -> None:
    single = bytes_per_pixel(tiny_vgg, preset, torch.float32)
    assert bytes_per_pixel(tiny_vgg, preset, torch.bfloat16) < single
    deep = Preset("deep", Tap("relu5_4"), preset.style)
    assert bytes_per_pixel(tiny_vgg, deep, torch.float32) > single


def test_what_does_not_fit_is_refused_with_the_size_that_fits(
    tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By invariant: the size that is named fits, one pixel more does not."""
    config = OptimizeConfig(device="cpu")
    per_pixel = bytes_per_pixel(tiny_vgg, PRESETS["pyramid"], torch.float32)
    free = int(200 * 300 * per_pixel / 0.8) + 9
    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: free)
    style = torch.empty(1, 3, 64, 64)
    check_memory(torch.empty(1, 3, 200, 299), style, tiny_vgg, config)
    with pytest.raises(InferenceError) as caught:
        check_memory(torch.empty(1, 3, 400, 600), style, tiny_vgg, config)
    message = str(caught.value)
    assert message.startswith("painting 600x400 px takes 0.")
    advice = "--size 300 fits, or give --tile 768"
    assert message.endswith(f"GB are free, of which 80% may be used; {advice}")
    big_style = torch.empty(1, 3, 1600, 1800)
    with pytest.raises(InferenceError, match=r"a style image of 1800x1600 px .*; --style-size \d+"):
        check_memory(torch.empty(1, 3, 50, 50), big_style, tiny_vgg, config)


def test_pieces_are_counted_and_a_piece_that_is_too_large_is_told(
    tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By invariant: in pieces a larger picture fits; masks take more; an absurd piece is named."""
    config = OptimizeConfig(device="cpu", history=3)
    per_pixel = bytes_per_pixel(tiny_vgg, PRESETS["pyramid"], torch.float32)
    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: int(700 * 700 * per_pixel))
    large, style = torch.empty(1, 3, 900, 900), torch.empty(1, 3, 64, 64)
    with pytest.raises(InferenceError, match="or give --tile"):
        check_memory(large, style, tiny_vgg, config)
    check_memory(large, style, tiny_vgg, config.replace(tile=64))
    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: 30_000_000)
    with pytest.raises(InferenceError, match="give a smaller --tile"):
        check_memory(large, style, tiny_vgg, config.replace(tile=890))


def test_where_nothing_fits_no_size_is_named(
    tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: 100_000)
    image = torch.empty(1, 3, 64, 64)
    with pytest.raises(InferenceError, match=r"may be used; close other programs$"):
        check_memory(image, image, tiny_vgg, OptimizeConfig(device="cpu"))


def test_a_painting_that_does_not_fit_is_not_begun(
    tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: no record of the coarse size, which would fit, comes before the error."""
    from nst.optimize import optimize

    monkeypatch.setattr(nst.footprint, "free_bytes", lambda: 1_000_000)
    config = OptimizeConfig(device="cpu", scales=3)
    records = optimize(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), tiny_vgg, config)
    with pytest.raises(InferenceError, match="painting 64x64 px takes"):
        next(records)


def test_which_errors_speak_of_the_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    for words in ("DefaultCPUAllocator: not enough memory", "MPS backend out of memory (MPS"):
        assert is_out_of_memory(RuntimeError(words))  # of Windows and macOS
    assert not is_out_of_memory(RuntimeError("a bug"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


MEASURE = """
    import ctypes, re, sys
    from pathlib import Path
    import torch
    from nst.commands.plain_loop import random_vgg
    from nst.config import OptimizeConfig
    from nst.optimize import optimize

    def bytes_of(name):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(name + r":\\s+(\\d+)", status)[1])

    torch.set_num_threads(1)
    weights, style = random_vgg(), torch.rand(1, 3, 32, 32)
    preset, side = sys.argv[1], int(sys.argv[2])
    config = OptimizeConfig(device="cpu", preset=preset, evaluations=2, scales=1)
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is none of ours
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = bytes_of("RssAnon")
    for record in optimize(torch.rand(1, 3, side, side), style, weights, config):
        pass
    # The kernel's own peak, which no sampling misses; pages of files do not count.
    print(bytes_of("VmHWM") - bytes_of("RssFile") - bytes_of("RssShmem") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process")
@pytest.mark.parametrize("preset", PRESETS)
def test_the_prediction_is_what_the_system_counts(preset: str) -> None:
    """By another way: the growth of two processes, without the pairs of L-BFGS."""
    from nst.commands.plain_loop import random_vgg

    peaks = []
    for side in (128, 512):  # what comes and goes beside the painting is some 20 MB of 900
        command = [sys.executable, "-c", textwrap.dedent(MEASURE), preset, str(side)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    found = (peaks[1] - peaks[0]) / (512**2 - 128**2)
    predicted = bytes_per_pixel(random_vgg(), PRESETS[preset], torch.float32)
    assert 0.7 < found / (predicted - nst.footprint.PAIRS_BYTES) < 1.2
