"""Which style suits a photograph. Truths: the objective in torch, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from export.to_onnx import export_network
from infer.model_choice import models_in
from infer.session import open_session
from infer.stylizer import Stylizer
from infer.suggest import Adviser, Suggestion, contact_sheet
from infer.suggest_cli import app
from nst.critic import Critic, Sketch, judge
from nst.dimensions import SwiftDimensions
from nst.errors import ModelError, UsageError
from nst.image import load_image, save_image
from nst.loss_network import find_loss_network
from nst.losses import PerceptualLoss
from nst.nets import build_network
from nst.samples import STYLE, photographs
from nst.tensors import to_tensor

STYLES = ("one", "two", "three")


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return load_image(photographs()[0]).rgb[:160, :200]


@pytest.fixture(scope="module")
def critic() -> Critic:
    return Critic()


def looks(seed: int) -> NDArray[np.uint8]:
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((8 + 4 * seed, 8, 1), np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, critic: Critic) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = build_network(SwiftDimensions(width=8, blocks=1), len(STYLES)).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    path = tmp_path_factory.mktemp("model") / "three.onnx"
    export_network(
        net,
        path,
        styles=STYLES,
        style_sha256=["0" * 64] * 3,
        training={},
        controls="global",
        sketches=[critic.sketch(looks(n)).to_text() for n in range(3)],
        cases=(),
    )
    return path


def test_the_critic_is_the_objective_of_the_compact_network(
    critic: Critic, photo: NDArray[np.uint8]
) -> None:
    """By torch: C is the same; S differs by what the projection of the widest layer loses."""
    style = load_image(STYLE).rgb[:320, :320]
    painted = (photo * 0.5 + looks(0)[:1, :1] * 0.3).astype(np.uint8)
    weights = find_loss_network("compact")
    criterion = PerceptualLoss(weights, to_tensor(style))
    with torch.no_grad():
        target = criterion.content_target(to_tensor(photo))
        terms = criterion(to_tensor(painted), target)
    found = judge(critic.see(painted), critic.see(photo), critic.sketch(style))
    assert found.content == pytest.approx(terms.content.item(), rel=0.01)
    assert found.style == pytest.approx(terms.style.item(), rel=0.2)
    assert found.total == pytest.approx(4.5 * found.style + found.content)


def test_a_sketch_survives_its_text(critic: Critic) -> None:
    sketch = critic.sketch(looks(1))
    text = sketch.to_text()
    assert len(text) < 25_000
    assert "/" not in text  # else one in 64 would be taken for a path of this computer
    again = Sketch.from_text(text)
    assert again.content_energy == pytest.approx(sketch.content_energy)
    for one, other in zip(sketch.grams, again.grams, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-3, atol=1e-3 * np.abs(one).max())


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "A" * 4000])
def test_what_is_no_sketch_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="sketch"):
        Sketch.from_text(text)


def test_a_picture_suits_its_own_style_best(critic: Critic) -> None:
    """By invariant: seen as a painting of itself it loses nothing, and has all of the style."""
    sketches = [critic.sketch(looks(n)) for n in range(3)]
    for n in range(3):
        seen = critic.see(looks(n))
        totals = [judge(seen, seen, sketch).total for sketch in sketches]
        assert int(np.argmin(totals)) == n
        assert totals[n] == 0


def test_all_styles_are_ranked(model: Path, photo: NDArray[np.uint8], critic: Critic) -> None:
    """By the parts: each painting is that of its style, judged against it, the best first."""
    session = open_session(model)
    ranked = Adviser().rank(photo, [session])
    assert {suggestion.style for suggestion in ranked} == set(STYLES)
    totals = [suggestion.verdict.total for suggestion in ranked]
    assert totals == sorted(totals)
    for suggestion in ranked:
        painted = Stylizer(model, style=suggestion.style)(photo).rgb
        assert np.abs(painted.astype(int) - suggestion.painted).max() <= 1
        sketch = critic.sketch(looks(STYLES.index(suggestion.style)))
        again = judge(critic.see(suggestion.painted), critic.see(photo), sketch)
        assert suggestion.verdict.total == pytest.approx(again.total, rel=0.01)


def test_auto_paints_the_first_of_them(model: Path, photo: NDArray[np.uint8]) -> None:
    best = Adviser().rank(photo, [open_session(model)])[0].style
    paint = Stylizer(model, style="auto")
    expected = Stylizer(model, style=best)(photo).rgb
    assert np.array_equal(paint(photo).rgb, expected)
    assert paint.label == best
    assert paint.choose(photo) == best


def test_a_model_that_does_not_say_is_named(invert_model: Path, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match=r"invert\.onnx does not say what its styles look like"):
        Adviser().rank(photo, [open_session(invert_model)])
    assert Stylizer(invert_model, style="auto")(photo).rgb.shape == photo.shape


def test_the_contact_sheet_by_hand(photo: NDArray[np.uint8], critic: Critic) -> None:
    seen = critic.see(photo)
    verdict = judge(seen, seen, critic.sketch(looks(0)))
    sheet = contact_sheet(photo, [Suggestion("m", name, verdict, photo) for name in STYLES])
    assert sheet.ndim == 3
    assert sheet.shape[0] > 2 * 160
    assert (sheet[:8] == 255).all()


def test_models_in_a_folder(model: Path, tmp_path: Path) -> None:
    assert models_in([model.parent]) == [model]
    assert models_in([model]) == [model]
    with pytest.raises(UsageError, match="no model in it"):
        models_in([tmp_path])


def test_the_command(model: Path, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    save_image(tmp_path / "photo.png", photo)
    sheet = tmp_path / "sheet.png"
    outcome = CliRunner().invoke(
        app, [str(tmp_path / "photo.png"), str(model), "-o", str(sheet), "--json"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.count('"rank"') == 3
    assert sheet.is_file()


def test_the_sheet_does_not_replace_the_photograph(
    model: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    save_image(path, photo)
    before = path.read_bytes()
    outcome = CliRunner().invoke(app, [str(path), str(model), "-o", str(path), "--overwrite"])
    assert isinstance(outcome.exception, UsageError)
    assert path.read_bytes() == before
