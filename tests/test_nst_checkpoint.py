"""Checkpoints. Truth: by invariant, what is read is what was written, to the bit, or an error."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from nst.checkpoint import (
    LAST,
    PREVIOUS,
    SCHEMA,
    Checkpoint,
    load_checkpoint,
    load_network,
    load_newest,
    network_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from nst.errors import CheckpointError, OutputError
from nst.network import StyleNetwork
from nst.transformer import TransformerNet

JOHNSON = {"dimensions": {"network": "johnson", "width": 4}}


def trained(
    steps: int, *, device: str = "cpu", fused: bool = False
) -> tuple[StyleNetwork, torch.optim.Adam]:
    """A network of random weights after some steps of Adam, in channels_last as in training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = TransformerNet(4).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    train(network, optimizer, range(steps))
    return network, optimizer


def train(network: StyleNetwork, optimizer: torch.optim.Adam, steps: range) -> None:
    device = next(network.parameters()).device
    for step in steps:
        image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(step)).to(device)
        optimizer.zero_grad()
        network(image).square().sum().backward()
        optimizer.step()


def names(network: StyleNetwork) -> list[str]:
    return [name for name, _ in network.named_parameters()]


def everything(network: StyleNetwork, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    return network_tensors(network) | optimizer_tensors(optimizer, names(network))


def assert_same(found: Any, expected: Any) -> None:
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name].cpu(), tensor.cpu()), name


def small() -> Checkpoint:
    generator = torch.Generator().manual_seed(0)
    return Checkpoint(
        {
            "weights": torch.randn(3, 5, generator=generator),
            "half": torch.randn(7, generator=generator).bfloat16(),
            "step": torch.tensor(12.0),
            "rng": torch.arange(16, dtype=torch.uint8),
            "is_on": torch.tensor([True, False]),
            "empty": torch.zeros(0, 2),
        },
        {"step": 12, "config": {"size": 256, "lr": 1e-3, "vgg": None, "name": "étoile"}},
    )


def one_line(error: pytest.ExceptionInfo[Exception], path: Path) -> str:
    """The message, which is one line and names the file."""
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_round_trip(tmp_path: Path) -> None:
    path, checkpoint = tmp_path / LAST, small()
    save_checkpoint(path, checkpoint)
    found = load_checkpoint(path)
    assert_same(found.tensors, checkpoint.tensors)
    header = dict(found.header)
    assert header.pop("schema") == SCHEMA
    assert len(header.pop("tensors_sha256")) == 64
    assert header == checkpoint.header
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


def test_network_and_optimiser_go_on_as_if_never_saved(tmp_path: Path) -> None:
    """Three steps, a checkpoint and three steps are six steps, to the bit."""
    network, optimizer = trained(3)
    save_checkpoint(tmp_path / LAST, Checkpoint(everything(network, optimizer), JOHNSON))
    train(network, optimizer, range(3, 6))

    checkpoint = load_checkpoint(tmp_path / LAST)
    resumed = load_network(checkpoint, source="run").train()
    resumed = resumed.to(memory_format=torch.channels_last)
    other = torch.optim.Adam(resumed.parameters(), lr=1e-3)
    restore_optimizer(other, names(resumed), checkpoint.tensors)
    for parameter, state in other.state.items():
        assert state["exp_avg"].stride() == parameter.stride()
    train(resumed, other, range(3, 6))
    assert_same(everything(resumed, other), everything(network, optimizer))


def test_restored_state_is_a_copy(tmp_path: Path) -> None:
    network, optimizer = trained(1)
    tensors = {name: t.clone() for name, t in everything(network, optimizer).items()}
    before = {name: t.clone() for name, t in tensors.items()}
    restore_optimizer(optimizer, names(network), tensors)
    train(network, optimizer, range(1, 3))
    assert_same(tensors, before)


def test_an_optimiser_that_never_stepped(tmp_path: Path) -> None:
    network, optimizer = trained(0)
    save_checkpoint(tmp_path / LAST, Checkpoint(everything(network, optimizer), JOHNSON))
    checkpoint = load_checkpoint(tmp_path / LAST)
    restore_optimizer(optimizer, names(network), checkpoint.tensors)
    train(network, optimizer, range(2))
    assert_same(everything(network, optimizer), everything(*trained(2)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("fused", [False, True])
def test_resume_on_cuda(tmp_path: Path, fused: bool) -> None:
    """A fused Adam counts its steps on the device, a plain one on the CPU."""
    network, optimizer = trained(2, device="cuda", fused=fused)
    save_checkpoint(tmp_path / LAST, Checkpoint(everything(network, optimizer), JOHNSON))
    checkpoint = load_checkpoint(tmp_path / LAST)
    restored = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
    restore_optimizer(restored, names(network), checkpoint.tensors)
    for parameter, state in optimizer.state.items():
        for entry, value in state.items():
            assert restored.state[parameter][entry].device == value.device
            assert torch.equal(restored.state[parameter][entry], value)
    train(network, restored, range(2, 4))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / LAST
    save_checkpoint(path, small())
    return path.read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_a_tensor(
    tmp_path: Path, small_file: bytes, place: float, bit: int
) -> None:
    """Wherever it is, the file is refused, or the bit was in the words of the JSON header."""
    path, content = tmp_path / LAST, bytearray(small_file)
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = load_checkpoint(path)
    except CheckpointError:
        return
    assert_same(found.tensors, small().tensors)


@pytest.mark.parametrize("bit", [0, 4, 7])
def test_a_flipped_bit_in_a_tensor_is_named_so(tmp_path: Path, bit: int) -> None:
    path = tmp_path / LAST
    save_checkpoint(path, Checkpoint({"weights": torch.arange(64.0)}))
    content = bytearray(path.read_bytes())
    content[-100] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged, its tensors do not have the hash") as error:
        load_checkpoint(path)
    one_line(error, path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file(tmp_path: Path, small_file: bytes, share: float) -> None:
    path = tmp_path / LAST
    path.write_bytes(small_file[: int(share * len(small_file))])
    with pytest.raises(CheckpointError, match="damaged or no safetensors file") as error:
        load_checkpoint(path)
    one_line(error, path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no checkpoint of this program"),
        ({"format": "pt"}, "no checkpoint of this program"),
        ({"nst": "{"}, "its header is no JSON object"),
        ({"nst": "[1]"}, "its header is no JSON object"),
        ({"nst": "[" * 100_000}, "its header is no JSON object"),
        ({"nst": "{}"}, "schema None, this program reads schema 1"),
        ({"nst": json.dumps({"schema": 2})}, "schema 2, this program reads schema 1"),
        ({"nst": json.dumps({"schema": 1})}, "its header does not have the hash"),
    ],
)
def test_foreign_files(tmp_path: Path, metadata: dict[str, str] | None, message: str) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weights": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    one_line(error, path)


@pytest.mark.parametrize("content", [b"", b"some text that is no checkpoint", bytes(100)])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / LAST
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or no safetensors file") as error:
        load_checkpoint(path)
    one_line(error, path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint") as error:
        load_checkpoint(tmp_path / LAST)
    one_line(error, tmp_path / LAST)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_not_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / LAST
    save_checkpoint(path, small())
    before = path.read_bytes()
    bad = torch.zeros(3, 3)
    bad[1, 2] = value
    for tensor in (bad, bad.bfloat16()):
        with pytest.raises(CheckpointError, match="not written, weights holds values") as error:
            save_checkpoint(
                path, Checkpoint({"weights": tensor}), keep_previous=tmp_path / PREVIOUS
            )
        one_line(error, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


def test_the_previous_one_is_kept(tmp_path: Path) -> None:
    for step in range(3):
        save_checkpoint(
            tmp_path / LAST,
            Checkpoint({"weights": torch.full((2,), float(step))}, {"step": step}),
            keep_previous=tmp_path / PREVIOUS,
        )
    assert load_checkpoint(tmp_path / LAST).header["step"] == 2
    assert load_checkpoint(tmp_path / PREVIOUS).tensors["weights"].tolist() == [1.0, 1.0]
    assert sorted(p.name for p in tmp_path.iterdir()) == [LAST, PREVIOUS]


@pytest.mark.parametrize("damage", ["flipped", "cut", "none of ours"])
def test_a_damaged_one_does_not_take_the_place_of_the_previous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """By invariant: a run resumed from the previous one has a good file at every moment."""
    last, previous = tmp_path / LAST, tmp_path / PREVIOUS
    for step in range(2):
        save_checkpoint(last, Checkpoint(small().tensors, {"step": step}), keep_previous=previous)
    content = bytearray(last.read_bytes())
    content[-10] ^= 1
    content = {"flipped": content, "cut": content[:-10], "none of ours": bytearray(9)}[damage]
    last.write_bytes(content)
    rename = Path.replace
    seen = []

    def watch(self: Path, target: Path) -> Path:
        seen.append(load_checkpoint(previous).header["step"])
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    save_checkpoint(last, Checkpoint(small().tensors, {"step": 5}), keep_previous=previous)
    assert seen == [0]
    assert load_checkpoint(previous).header["step"] == 0
    assert load_checkpoint(last).header["step"] == 5


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is said to be full at the last moment before the rename."""
    path = tmp_path / LAST
    save_checkpoint(path, small())
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot be written, the disk is full") as error:
        save_checkpoint(path, Checkpoint({"weights": torch.zeros(9)}), keep_previous=tmp_path / "p")
    one_line(error, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_write_that_breaks_off_keeps_the_old_file(tmp_path: Path) -> None:
    """The operating system stops a real write in the middle of a file of 4 MB."""
    path = tmp_path / LAST
    save_checkpoint(path, small())
    program = """
        import resource, sys, torch
        from pathlib import Path
        from nst.checkpoint import Checkpoint, save_checkpoint
        from nst.errors import OutputError
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            save_checkpoint(Path(sys.argv[1]), Checkpoint({"weights": torch.zeros(1_000_000)}))
        except OutputError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{path}: cannot be written, the file would be larger than allowed\n"
    assert_same(load_checkpoint(path).tensors, small().tensors)
    assert [p.name for p in tmp_path.iterdir()] == [LAST]


@pytest.mark.parametrize(
    "dimensions",
    [
        None,
        {},
        "johnson",
        {"network": "shuffle", "width": 4},
        {"network": "johnson"},
        {"network": "johnson", "width": "4"},
        {"network": "johnson", "width": 0},
        {"network": "johnson", "width": -4},
    ],
)
def test_another_network_is_refused(dimensions: object) -> None:
    header = {} if dimensions is None else {"dimensions": dimensions}
    with pytest.raises(CheckpointError, match=r"holds no network of this program") as error:
        load_network(Checkpoint(network_tensors(TransformerNet(4)), header), source="run/last")
    one_line(error, Path("run/last"))


def test_styles_without_number_are_refused() -> None:
    """JSON has no infinity, but its parser reads one."""
    header = {"dimensions": {"network": "johnson", "width": 4}, "mixed_styles": float("inf")}
    with pytest.raises(CheckpointError, match=r"holds no network of this program"):
        load_network(Checkpoint(network_tensors(TransformerNet(4)), header), source="run/last")


@pytest.mark.parametrize("kind", ["wider", "missing", "more", "none"])
def test_weights_that_do_not_fit_are_refused(kind: str) -> None:
    tensors = network_tensors(TransformerNet(8 if kind == "wider" else 4))
    if kind == "missing":
        del tensors["network.blocks.2.conv1.conv.weight"]
    elif kind == "more":
        tensors["network.extra"] = torch.zeros(1)
    elif kind == "none":
        tensors = {}
    with pytest.raises(CheckpointError, match="its weights do not fit the network") as error:
        load_network(Checkpoint(tensors, JOHNSON), source="run/last")
    one_line(error, Path("run/last"))


def test_a_loaded_network_is_in_evaluation_mode() -> None:
    network = TransformerNet(4)
    loaded = load_network(Checkpoint(network_tensors(network), JOHNSON), source="run")
    assert not loaded.training
    assert_same(loaded.state_dict(), network.state_dict())


def test_the_newest_that_is_whole(tmp_path: Path) -> None:
    """By hand: last, else prev with a word about it; a file stands for itself."""
    with pytest.raises(CheckpointError, match=r"no such checkpoint; train one .*`nst train`"):
        load_newest(tmp_path)
    with pytest.raises(CheckpointError, match="no such run folder"):
        load_newest(tmp_path / "nowhere")
    for step, name in ((1, PREVIOUS), (2, LAST)):
        save_checkpoint(tmp_path / name, Checkpoint({"x": torch.ones(3)}, {"step": step}))
    checkpoint, source, note = load_newest(tmp_path)
    assert (checkpoint.header["step"], source.name, note) == (2, LAST, "")
    checkpoint, source, note = load_newest(tmp_path / PREVIOUS)
    assert (checkpoint.header["step"], source.name, note) == (1, PREVIOUS, "")
    (tmp_path / LAST).write_bytes(b"damaged")
    checkpoint, source, note = load_newest(tmp_path)
    assert (checkpoint.header["step"], source.name) == (1, PREVIOUS)
    assert "last.safetensors: damaged" in note
    assert note.endswith("; going on from prev.safetensors")
    (tmp_path / PREVIOUS).write_bytes(b"damaged too")
    with pytest.raises(CheckpointError, match=r"last.*prev.*nothing is left, begin anew"):
        load_newest(tmp_path)


def test_a_changed_header_is_found(tmp_path: Path) -> None:
    """A header that says another step than the one that was saved, tensors untouched."""
    path = tmp_path / LAST
    save_checkpoint(path, Checkpoint({"x": torch.ones(2)}, {"step": 100}))
    content = path.read_bytes()
    assert content.count(b'\\"step\\": 100') == 1
    path.write_bytes(content.replace(b'\\"step\\": 100', b'\\"step\\": 900'))
    with pytest.raises(CheckpointError, match="its header does not have the hash"):
        load_checkpoint(path)
