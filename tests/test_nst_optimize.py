"""The reference mode: what it lowers, what it starts from, when it ends, what it reports."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import nst.lbfgs
import nst.optimize
from nst.config import OptimizeConfig
from nst.errors import ImageError, InferenceError, UsageError
from nst.loss_terms import LossTerms
from nst.losses import ContentTarget, PerceptualLoss
from nst.optimize import OptimizeRecord, optimize, phases
from nst.runtime import choose_precision, precision_name
from nst.scales import scales_for
from nst.tensors import load_style, to_tensor
from nst.weights import VGGWeights

pytestmark = pytest.mark.usefixtures("one_thread")


def settings(**values: Any) -> OptimizeConfig:
    return OptimizeConfig(device="cpu", **{"evaluations": 12, "tolerance": 0.0, **values})


@pytest.fixture
def photograph(photo: NDArray[np.uint8]) -> Tensor:
    return to_tensor(photo)


@pytest.fixture(scope="module")
def style(style_file: Path) -> Tensor:
    image, _ = load_style(style_file, 64)
    return image


def measure(
    image: Tensor, photograph: Tensor, style: Tensor, weights: VGGWeights, config: OptimizeConfig
) -> LossTerms:
    """The objective of the training, asked directly."""
    criterion = PerceptualLoss.from_config(weights, style, config)
    terms = criterion(image, criterion.content_target(photograph))
    assert isinstance(terms, LossTerms)
    return terms


def totals(records: Sequence[OptimizeRecord]) -> list[float]:
    return [record.total for record in records]


@pytest.mark.parametrize("init", ["content", "noise"])
@pytest.mark.parametrize("preset", ["pyramid", "gatys"])
def test_the_objective_falls_and_never_rises(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, init: str, preset: str
) -> None:
    # In one dtype: where bfloat16 gives way to float32, the same picture has another value.
    config = settings(init=init, preset=preset, evaluations=30, precision="float32")
    records = list(optimize(photograph, style, tiny_vgg, config))
    values = totals(records)
    assert all(b < a for a, b in pairwise(values[:-1]))
    assert values[-1] <= values[-2]
    assert values[-1] < 0.7 * values[0]
    for record in records:
        assert record.image.shape == photograph.shape
        assert record.image.min() >= 0
        assert record.image.max() <= 1


def test_it_starts_from_the_photograph(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By invariant: the photograph keeps all of its content, C = 0."""
    before = photograph.clone()
    first = next(optimize(photograph, style, tiny_vgg, settings()))
    assert (first.iteration, first.evaluations, first.reason) == (0, 1, "")
    assert torch.equal(first.image, photograph)
    assert first.content == 0
    assert torch.equal(photograph, before)


def test_it_starts_from_noise_of_the_seed(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By hand: mean 0.5 and deviation 0.15, drawn anew for another seed only."""
    first, same, other = (
        next(optimize(photograph, style, tiny_vgg, settings(init="noise", seed=seed))).image
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert float(first.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(first.std()) == pytest.approx(0.15, abs=0.01)


def test_it_starts_from_a_picture_of_any_size(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    config = settings(init="start.png")
    start = torch.full((1, 3, 20, 33), 0.25)
    first = next(optimize(photograph, style, tiny_vgg, config, start=start))
    torch.testing.assert_close(first.image, torch.full_like(photograph, 0.25))
    with pytest.raises(UsageError, match=r"--init must be .* got start\.png"):
        next(optimize(photograph, style, tiny_vgg, config))


@pytest.mark.parametrize(
    ("photograph", "style", "scales"),
    [
        ((1, 1), (512, 512), 1),
        ((300, 512), (512, 512), 1),
        ((513, 300), (512, 512), 2),
        ((1000, 1024), (512, 512), 2),
        ((1025, 1025), (512, 512), 3),
        ((2048, 1000), (512, 512), 3),
        ((4096, 64), (512, 512), 3),
        ((30, 4096), (512, 512), 1),
        ((4096, 4096), (512, 56), 2),
        ((4096, 4096), (64, 512), 3),
        ((4096, 4096), (32, 32), 2),
    ],
)
def test_the_number_of_sizes_by_hand(
    photograph: tuple[int, int], style: tuple[int, int], scales: int
) -> None:
    """Halved until 512 px are enough; 64 px may be halved twice to 16, 30 px not at all."""
    assert scales_for(photograph, style) == scales


def test_a_small_style_image_asks_for_fewer_sizes(tiny_vgg: VGGWeights) -> None:
    """By hand: 520 px would begin at 260, but 30 px of style cannot be halved to 15."""
    generator = torch.Generator().manual_seed(0)
    photograph = torch.rand(1, 3, 40, 520, generator=generator)
    first = next(optimize(photograph, torch.rand(1, 3, 40, 30), tiny_vgg, settings()))
    assert (first.scales, first.image.shape[-1]) == (1, 520)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_noise_is_as_strong_at_every_number_of_sizes(tiny_vgg: VGGWeights, scales: int) -> None:
    """By hand: deviation 0.15 where the painting begins, not what averaging leaves of it."""
    photograph, style = torch.full((1, 3, 160, 192), 0.5), torch.rand(1, 3, 64, 64)
    config = settings(init="noise", scales=scales)
    first = next(optimize(photograph, style, tiny_vgg, config)).image
    side = 192 // 2 ** (scales - 1)
    assert first.shape[-1] == side
    assert float(first.std()) == pytest.approx(0.15, abs=0.005)
    neighbours = first[..., 1:] - first[..., :-1]
    assert float(neighbours.std()) == pytest.approx(0.15 * 2**0.5, rel=0.05)


def test_sizes_go_from_coarse_to_fine(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By hand: 48x64 px in two sizes is 24x32, then 48x64; each begins with what the last left."""
    records = list(optimize(photograph, style, tiny_vgg, settings(scales=2, evaluations=4)))
    coarse = [record for record in records if record.scale == 1]
    fine = [record for record in records if record.scale == 2]
    assert {tuple(record.image.shape) for record in coarse} == {(1, 3, 24, 32)}
    assert {tuple(record.image.shape) for record in fine} == {(1, 3, 48, 64)}
    assert {record.scales for record in records} == {2}
    assert coarse[0].iteration == fine[0].iteration == 0
    assert fine[0].evaluations == 1
    assert coarse[-1].reason
    assert fine[-1].reason
    enlarged = torch.nn.functional.interpolate(
        coarse[-1].image, (48, 64), mode="bicubic", antialias=True
    ).clamp(0, 1)
    torch.testing.assert_close(fine[0].image, enlarged)


@pytest.mark.parametrize("size", [(37, 53), (41, 40), (64, 33)])
def test_odd_sizes(style: Tensor, tiny_vgg: VGGWeights, size: tuple[int, int]) -> None:
    photograph = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    for scales in (1, 2):
        config = settings(scales=scales, evaluations=4, preset="pyramid")
        last = list(optimize(photograph, style, tiny_vgg, config))[-1]
        assert last.image.shape == photograph.shape


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("evaluations", [1, 2, 7])
def test_it_ends_at_the_number_of_evaluations(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, optimizer: str, evaluations: int
) -> None:
    config = settings(optimizer=optimizer, evaluations=evaluations)
    records = list(optimize(photograph, style, tiny_vgg, config))
    assert records[-1].evaluations == evaluations
    assert records[-1].reason == f"{evaluations} evaluations"
    assert not any(record.reason for record in records[:-1])


def test_it_ends_where_too_little_is_gained(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By hand: the last ten iterations gained less than the share, those before them more."""
    config = settings(tolerance=0.2, evaluations=1000)
    records = list(optimize(photograph, style, tiny_vgg, config))
    values = totals(records)
    assert records[-1].reason == "10 iterations lowered J by less than 0.2 of it"
    assert values[-11] - values[-1] < 0.2 * values[-11]
    for end in range(10, len(values) - 1):
        assert values[end - 10] - values[end] >= 0.2 * values[end - 10]


def test_it_ends_where_nothing_lowers_the_objective(style: Tensor, tiny_vgg: VGGWeights) -> None:
    """By invariant: the style image as photograph and style is perfect: J = 0 from the start."""
    records = list(optimize(style, style, tiny_vgg, settings(tv_weight=0.0)))
    assert [record.reason for record in records] == ["", "no step lowers J"]
    assert totals(records) == [0.0, 0.0]
    assert [record.iteration for record in records] == [0, 0]
    assert torch.equal(records[-1].image, style)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_same_seed_gives_the_same_bits(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, optimizer: str
) -> None:
    config = settings(init="noise", seed=5, optimizer=optimizer)
    one, other = (list(optimize(photograph, style, tiny_vgg, config)) for _ in range(2))
    assert totals(one) == totals(other)
    assert torch.equal(one[-1].image, other[-1].image)


def test_adam_lowers_the_objective_inside_the_box(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By hand: an evaluation an iteration; the first step of Adam is its learning rate."""
    config = settings(
        optimizer="adam", evaluations=30, learning_rate=0.02, precision="float32"
    )  # a change of precision would take an evaluation of the same picture
    records = list(optimize(photograph, style, tiny_vgg, config))
    assert [record.evaluations for record in records] == list(range(1, 31))
    assert records[-1].total < 0.8 * records[0].total
    assert all(r.image.min() >= 0 and r.image.max() <= 1 for r in records)
    moved = (records[1].image - records[0].image).abs()
    assert float(moved.max()) == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam"},
        {"tv_weight": 3.0, "strength": 2.0},
        {"weights": "gatys", "preset": "gatys"},
        {"init": "noise"},
    ],
    ids=str,
)
def test_what_is_reported_belongs_to_the_picture(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, changes: dict[str, Any]
) -> None:
    """By another way: every picture is measured anew with the objective of the training."""
    config = settings(**changes)
    for record in optimize(photograph, style, tiny_vgg, config):
        terms = measure(record.image, photograph, style, tiny_vgg, config)
        found = (record.total, record.content, record.style, record.total_variation)
        expected = (terms.total, terms.content, terms.style, terms.total_variation)
        assert found == pytest.approx([float(value) for value in expected], rel=1e-4, abs=1e-7)


def test_a_trial_that_was_refused_leaves_nothing_in_the_report(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: a first step of 0.5 is refused; the report is that of the picture that stayed."""
    monkeypatch.setattr(nst.lbfgs, "FIRST_STEP_RMS", 0.5)
    config = settings(evaluations=14)
    records = list(optimize(photograph, style, tiny_vgg, config))
    assert records[1].evaluations > 2
    assert records[-1].evaluations == 14
    for record in records:
        terms = measure(record.image, photograph, style, tiny_vgg, config)
        found = [record.content, record.style]
        expected = [float(terms.content), float(terms.style)]
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_trials_cut_off_by_the_limit_leave_nothing_in_the_report(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: two evaluations, the start and one that is refused: the start is returned."""
    monkeypatch.setattr(nst.lbfgs, "FIRST_STEP_RMS", 0.5)
    records = list(optimize(photograph, style, tiny_vgg, settings(evaluations=2)))
    assert [record.evaluations for record in records] == [1, 2]
    assert [record.iteration for record in records] == [0, 0]
    assert records[1].reason == "2 evaluations"
    assert torch.equal(records[1].image, records[0].image)
    for name in ("total", "content", "style", "total_variation"):
        assert getattr(records[1], name) == getattr(records[0], name), name


def test_bfloat16_is_close_to_float32(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By another precision: 8 bits of mantissa in the activations, a few % of J."""
    values = []
    for precision in ("float32", "bfloat16"):
        config = settings(precision=precision, evaluations=4)
        records = list(optimize(photograph, style, tiny_vgg, config))
        assert records[-1].total < records[0].total
        values.append(records[0].total)
    assert values[1] == pytest.approx(values[0], rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 200)])
def test_a_photograph_that_is_too_small_is_an_error(
    style: Tensor, tiny_vgg: VGGWeights, size: tuple[int, int]
) -> None:
    with pytest.raises(ImageError, match="too small"):
        list(optimize(torch.rand(1, 3, *size), style, tiny_vgg, settings()))


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee ..."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "numpy"],
)
def test_a_memory_that_is_too_small_after_all(
    photograph: Tensor,
    style: Tensor,
    tiny_vgg: VGGWeights,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    error: Exception,
) -> None:
    """By hand: what torch says on each device; records of the size before have been yielded."""
    content_target = PerceptualLoss.content_target

    def fail(self: PerceptualLoss, image: Tensor) -> ContentTarget:
        if image.shape[-1] == (32, 64)[size]:
            raise error
        return content_target(self, image)

    monkeypatch.setattr(PerceptualLoss, "content_target", fail)
    records: list[OptimizeRecord] = []
    with pytest.raises(InferenceError) as caught:
        records.extend(optimize(photograph, style, tiny_vgg, settings(scales=2, evaluations=4)))
    expected = ("32x24 px", "64x48 px")[size]
    assert str(caught.value) == f"not enough memory to paint at {expected}; give a smaller --size"
    assert caught.value.__context__ is None, "its frames would hold the tensors"
    assert {record.image.shape[-1] for record in records} == ({32} if size else set())


def test_other_errors_stay_bugs(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PerceptualLoss, image: Tensor) -> ContentTarget:
        raise RuntimeError("a bug")

    monkeypatch.setattr(PerceptualLoss, "content_target", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        next(optimize(photograph, style, tiny_vgg, settings()))


def test_sizes_that_leave_nothing_are_an_error(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By hand: 48 px halved twice are 12, less than 16."""
    next(optimize(photograph, style, tiny_vgg, settings(scales=2)))
    with pytest.raises(UsageError, match=r"--scales 3: the photograph \(64x48 px\)"):
        next(optimize(photograph, style, tiny_vgg, settings(scales=3)))
    wide = torch.rand(1, 3, 64, 64)
    with pytest.raises(UsageError, match=r"--scales 3: the style image \(64x48 px\)"):
        next(optimize(wide, style, tiny_vgg, settings(scales=3)))
    with pytest.raises(UsageError, match="--scales"):
        settings(scales=-1)


def test_half_precision_comes_first_and_float32_ends(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By invariant: where the hardware has bfloat16 the last picture has the J of float32."""
    config = settings(evaluations=30, precision="auto", scales=1)
    assert phases(config, torch.device("cpu"), is_last=False) == phases(
        config.replace(precision=precision_name(choose_precision("auto", torch.device("cpu")))),
        torch.device("cpu"),
        is_last=True,
    )

    def choose(precision: str, device: torch.device) -> torch.dtype:
        return torch.float32 if precision == "float32" else torch.bfloat16

    monkeypatch.setattr(nst.optimize, "choose_precision", choose)
    assert phases(config, torch.device("cpu"), is_last=True) == [torch.bfloat16, torch.float32]
    few = config.replace(evaluations=5)
    assert phases(few, torch.device("cpu"), is_last=True) == [torch.float32]
    used: list[torch.dtype] = []
    evaluate = nst.optimize._Evaluator.__call__

    def watch(self: nst.optimize._Evaluator, image: Tensor) -> tuple[float, Tensor]:
        used.append(self.dtype)
        return evaluate(self, image)

    monkeypatch.setattr(nst.optimize._Evaluator, "__call__", watch)
    records = list(optimize(photograph, style, tiny_vgg, config))
    early = used.count(torch.bfloat16)
    assert 0 < early <= 27  # nine tenths
    assert used == [torch.bfloat16] * early + [torch.float32] * (len(used) - early)
    assert len(used) == records[-1].evaluations == 30
    exact = measure(records[-1].image, photograph, style, tiny_vgg, config).total
    assert records[-1].total == pytest.approx(float(exact), rel=1e-5)
    assert [r.iteration for r in records] == list(range(len(records)))


def test_what_is_smooth_first_reaches_less(
    photograph: Tensor, style: Tensor, tiny_vgg: VGGWeights
) -> None:
    """By measurement of a real painting: J is lower after the same evaluations."""
    config = settings(evaluations=40, scales=1, precision="float32")
    plain = list(optimize(photograph, style, tiny_vgg, config.replace(precondition=False)))
    broad = list(optimize(photograph, style, tiny_vgg, config))
    assert broad[-1].total < plain[-1].total
