"""The speed of painting: a fair contest, floors, levers. No time is asserted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import nst.commands.infer_speed
import nst.commands.ort_levers
from export.to_onnx import write_info
from nst.commands import floors
from nst.commands.bench_infer import PROVIDERS, _print
from nst.commands.floors import Rates, Work, work_of
from nst.commands.infer_case import Case, Net, _net, net_of
from nst.commands.infer_speed import DIVIDED, EAGER, OURS, PLAIN, measure_cases
from nst.commands.operators import RUNS, OperatorFigures, figures_of, profile_operators
from nst.commands.ort_levers import BOUND, DEFAULT, LEVERS, measure_levers
from nst.commands.peers import eager, finish, halved, plain_model, prepare
from nst.contract import INPUT, ModelInfo
from nst.dimensions import dimensions_named
from nst.nets import build_network
from nst.tensors import to_tensor, to_uint8
from nst.transformer import TransformerNet

pytestmark = pytest.mark.usefixtures("one_thread")
KEYS = {
    *("net", "size", "provider", "precision", "way", "runs", "ratio", "ratios", "grey_levels"),
    *("wall_p50_ms", "wall_p95_ms", "network_p50_ms", "network_p95_ms"),
    *("flops", "arithmetic_floor_ms", "compiled_floor_ms", "floor_share"),
}


@pytest.fixture
def known_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates as of a device that does 1 TFLOP and 10 GB a second, for the sake of time."""
    rates = Rates(1e12, 1e10)
    monkeypatch.setattr(nst.commands.infer_speed, "measure_rates", lambda *_, **__: rates)


@pytest.fixture
def model_file(tiny_network: TransformerNet, tiny_model: onnx.ModelProto, tmp_path: Path) -> Path:
    info = ModelInfo(
        styles=("tiny",),
        style_sha256=("0" * 64,),
        network="johnson",
        width=4,
        reach_px=60,
        size_multiple=4,
        bytes_per_pixel=200,
        dimensions=dataclasses.asdict(tiny_network.dimensions),
    )
    path = tmp_path / "tiny.onnx"
    path.write_bytes(write_info(tiny_model, info))
    return path


def test_all_ways_paint_the_same_picture(model_file: Path, known_rates: None) -> None:
    """By another implementation, twice: each rounds in its own way, so one grey level is allowed.

    Sides that the network takes, and others, which it pads and crops.
    """
    net = net_of(model_file, "float32")
    cases = [Case(net, *sides, "cpu") for sides in ((32, 48), (37, 45))]
    rows = measure_cases(cases, rounds=2, runs=3)
    assert [row["way"] for row in rows] == 2 * [OURS, PLAIN, EAGER]
    for row in rows:
        assert set(row) == KEYS
        assert row["grey_levels"] <= 1
        assert row["runs"] == 6
        assert len(row["ratios"]) == 2
        assert 0 < row["wall_p50_ms"] <= row["wall_p95_ms"]
        assert 0 < row["network_p50_ms"] <= row["network_p95_ms"]
        assert row["arithmetic_floor_ms"] == pytest.approx(row["flops"] / 1e9)
        assert row["floor_share"] == row["arithmetic_floor_ms"] / row["network_p50_ms"]
    assert all(row["ratio"] == 1 for row in rows if row["way"] == PLAIN)
    painted, _, _ = nst.commands.infer_speed._ours(cases[1], 1, is_divided=False)
    assert painted.shape == (37, 45, 3)
    assert painted.std() > 20  # an even grey would be alike in any way


def test_two_styles_side_by_side_are_a_way_of_their_own(known_rates: None) -> None:
    """By torch, to one grey level, also where the sides are no multiple of the network's."""
    torch.manual_seed(0)
    network = build_network(dimensions_named("swift:width=8,blocks=1,noise=0"), 3)
    with torch.no_grad():
        for values in network.parameters():
            values.add_(0.2 * torch.randn(values.shape))
    case = Case(_net("three", "float32", network.eval(), ("a", "b", "c")), 37, 46, "cpu")
    rows = measure_cases([case], rounds=1, runs=1)
    assert [row["way"] for row in rows] == [OURS, PLAIN, EAGER, DIVIDED]
    assert [row["grey_levels"] for row in rows][::3] == [0, None]
    assert max(row["grey_levels"] for row in rows[:3]) <= 1
    painted, _, _ = nst.commands.infer_speed._ours(case, 1, is_divided=True)
    mix = case.mix(is_divided=True)
    assert mix is not None
    with torch.inference_mode():
        expected = network(to_tensor(case.picture()[None]), mix=torch.from_numpy(mix))
    assert np.abs(painted.astype(int) - to_uint8(expected)[0]).max() <= 1


def test_numpy_around_a_network_that_does_nothing() -> None:
    """By hand: there and back, cut off where it is not rounded."""
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    x = prepare(rgb)
    assert x.shape == (1, 3, 4, 5)
    assert x.dtype == np.float32
    assert x[0, 1, 2, 3] == np.float32(rgb[2, 3, 1]) / 255
    assert np.abs(finish(x).astype(int) - rgb).max() <= 1
    assert finish(np.full((1, 3, 1, 1), 1.5, np.float32)).tolist() == [[[255, 255, 255]]]


def test_floors_are_those_of_the_literature() -> None:
    """By another calculation, of the same network in half precision at 256x256 px: 20.16 GFLOP,
    and 130 MB where a convolution is a kernel and a norm two passes."""
    work = work_of(plain_model(TransformerNet(32).eval(), 256, 256).graph)
    assert work.flops / 1e9 == pytest.approx(20.16, rel=1e-3)
    assert sum(moved for _, moved in work.layers) / 2 / 1e6 == pytest.approx(130, rel=0.05)


def test_floors_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel takes what is longer; of two measurements the higher rates count."""
    work, rates = Work(10, ((10, 4), (0, 8), (0, 2))), Rates(10.0, 2.0)
    assert rates.arithmetic_ms(work) == 1000
    assert rates.compiled_ms(work) == 1000 * (max(1, 2) + 4 + 1)
    assert rates.best(Rates(20.0, 1.0)) == Rates(20.0, 2.0)
    monkeypatch.setattr(floors, "COPIED_BYTES", 2**16)
    monkeypatch.setattr(floors, "matrix_rate", lambda device, precision: 3.0)
    found = floors.measure_rates(torch.device("cpu"), is_half=True)
    assert found.flops_per_s == 3
    assert found.bytes_per_s > 0


def test_half_precision_lies_between_the_norms(tiny_network: TransformerNet) -> None:
    """By another implementation: float32, off by the rounding to 11 bits."""
    half = halved(tiny_network)
    assert half.get_parameter("conv1.conv.weight").dtype == torch.float16
    assert half.get_parameter("norm1.weight").dtype == torch.float32
    x = torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = half(x), tiny_network(x)
        there = eager(half, 16, 20, torch.device("cpu"))(x.half())
    assert there.dtype == torch.float16
    assert (found - there).abs().max() < 0.005
    assert 0 < (found - expected).abs().max() < 0.02


def test_levers_change_no_picture(invert_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 255 - image, whatever is pulled; the defaults are the measure."""
    kept = [DEFAULT, "as nst sets them", "denormal numbers as zero", BOUND]
    monkeypatch.setattr(nst.commands.ort_levers, "LEVERS", {name: LEVERS[name] for name in kept})
    rgb = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    seen: list[int] = []
    rows = measure_levers(invert_model, rgb, None, rounds=1, runs=2, advance=seen.append)
    assert [row.lever for row in rows] == kept
    assert seen == [1, 2, 3, 4]
    assert (rows[0].ratio, rows[0].processor_ratio) == (1, 1)
    for row in rows:
        assert row.grey_levels == 0
        assert row.ms > 0
        assert row.ratios == (row.ratio,)
    painted, _, _ = nst.commands.ort_levers.take_turn(BOUND, invert_model, rgb, None, 1)
    assert np.array_equal(painted, 255 - rgb)


@pytest.mark.parametrize("lever", LEVERS)
def test_every_lever_can_be_pulled(lever: str) -> None:
    options = onnxruntime.SessionOptions()
    before = (options.intra_op_num_threads, options.graph_optimization_level)
    LEVERS[lever](options, np.zeros((8, 9, 3), np.uint8))
    if "graph optimisation" in lever or "thread" in lever.split():
        assert (options.intra_op_num_threads, options.graph_optimization_level) != before


def test_a_profile_by_hand() -> None:
    """Half of the runs are warm-up; kernels of one operator are added up."""
    events = []
    for run in range(2 * RUNS):
        events.append({"cat": "Session", "name": "model_run", "ts": 100 * run})
        for name, operator, us in (("a", "Conv", 30), ("b", "Conv", 30), ("c", "Pad", 20)):
            slow = 1 if run >= RUNS else 1000
            arguments = {"op_name": operator, "provider": "CPUExecutionProvider"}
            events.append(
                {
                    "cat": "Node",
                    "name": f"{name}_kernel_time",
                    "ts": 100 * run + 1,
                    "dur": us * slow,
                    "args": arguments,
                }
            )
    assert figures_of(events) == [
        OperatorFigures("Conv", "CPU", 2, 0.06, 0.75),
        OperatorFigures("Pad", "CPU", 1, 0.02, 0.25),
    ]


def test_a_profile_of_a_model(invert_model: Path) -> None:
    image = np.zeros((1, 8, 9, 3), np.uint8)
    found = profile_operators(invert_model.read_bytes(), {INPUT: image}, ["CPUExecutionProvider"])
    assert [(row.operator, row.nodes, row.share) for row in found] == [("Sub", 1, 1.0)]


def test_the_mix_is_the_first_style(tiny_network: TransformerNet) -> None:
    """By hand: the photograph first, then the styles."""
    net = Net("two", "float32", b"", tiny_network, ("wave", "scream"))
    mix = Case(net, 8, 8, "cpu").mix()
    assert mix is not None
    assert mix.tolist() == [[[[0]], [[1]], [[0]]]]
    assert (net.style, dataclasses.replace(net, styles=()).style) == ("wave", None)
    assert Case(dataclasses.replace(net, styles=()), 8, 8, "cpu").mix() is None


def test_the_command(
    known_rates: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
) -> None:
    """By hand: a line for each way, precision and size, and all of it as JSON."""
    kept = {name: LEVERS[name] for name in (DEFAULT, BOUND)}
    monkeypatch.setattr(nst.commands.ort_levers, "LEVERS", kept)
    arguments = ["bench", "infer", "--net", "johnson:width=2", "--size", "24x16", "--runs", "1"]
    arguments += ["--rounds", "1", "--precision", "float16", "--levers", "--operators", "--json"]
    assert not exit_code(*arguments)
    record = json.loads(capsys.readouterr().out)
    _print(record)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("johnson:width=2, 24x16, cpu, float16: ")
    for way in (OURS, PLAIN, EAGER, DEFAULT, BOUND, "Conv"):
        assert sum(line.startswith(f"{way} ") for line in lines) == 1
    assert set(record) == {"machine", "setting", "rows", "levers", "operators"}
    assert record["machine"]["onnxruntime"] == onnxruntime.__version__
    assert [row["precision"] for row in record["rows"]] == 3 * ["float16"]
    assert all(set(row) == KEYS for row in record["rows"])
    assert {row["lever"] for row in record["levers"]} == set(kept)
    assert sum(row["share"] for row in record["operators"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--size", "7x640"], "--size must be"),
        (["--size", "640"], "--size must be"),
        (["--provider", "auto"], f"--provider must be one of {', '.join(PROVIDERS)}"),
        (["--precision", "int8"], "--precision must be"),
        (["--net", "alexnet"], "--net must be"),
        (["--model", "missing.onnx"], "missing.onnx"),
        (["--provider", "dml"], "--provider dml: ONNX Runtime has only"),
    ],
)
def test_an_error_is_one_line(
    capsys: pytest.CaptureFixture[str],
    exit_code: Callable[..., int],
    flags: list[str],
    expected: str,
) -> None:
    assert exit_code("bench", "infer", *flags) in (1, 2)
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert streams.err.startswith("nst: ")
    assert expected in streams.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_missing_is_refused(
    model_file: Path, capsys: pytest.CaptureFixture[str], exit_code: Callable[..., int]
) -> None:
    assert exit_code("bench", "infer", "--model", model_file, "--provider", "cuda") == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines()[-1].startswith("nst: --provider cuda")
