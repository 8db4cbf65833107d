"""What has to be known of a model file to paint a picture in tiles: norms, noise, mix.

All of it is read from the graph, or found by running parts of it on small pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from infer.kept_maps import KeptMap, crossing
from infer.noise_field import NoiseField
from nst.contract import INPUT, MIX, TEXTURE
from nst.errors import ModelError

NORM = "InstanceNormalization"
PROBE = 16, 20
"""Sides of the small picture that a graph is probed with, in multiples of the network's own."""
NOISE_PROBE_PX = 86, 1099
"""Sides of the picture whose noise is compared, beyond one period of each tile of the noise."""

Feeds = dict[str, NDArray[Any]]
Run = Callable[[bytes, Feeds], list[NDArray[Any]]]
"""Loads a graph and runs it once."""


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """An instance norm of the file."""

    given: str
    """The map that it norms."""
    output: str
    scale: NDArray[np.float32]
    """``(C,)``."""
    shift: NDArray[np.float32]
    epsilon: float
    work: float
    """Share of the multiplications of the network that come before it."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedMix:
    """A place in the network where a regional mix is resized to a map."""

    shares: str
    """The mix that is resized, over the whole picture."""
    output: str
    sides: tuple[tuple[int, int], tuple[int, int]] | None
    """Height and width of the map over those of the padded picture, as fractions; None where they
    are those of the picture itself."""


class TileFacts:
    """What is known of a model.

    Args:
        model: The file, checked.
        run: Loads a graph on the CPU and runs it; called a few times with small pictures.
        name: What to call the model in an error.
        size_multiple: Of the network, px.

    Attributes:
        model: The file, parsed.
        norms: In the order of the graph.
        field: The tensor that holds the noise of a picture; or nothing.
        noise: Of a network that has some.
        mixes: Of a file with a regional mix.
        kept: Of each norm, the maps that can be kept for what is behind it; or nothing at all.
        peak_values: The most values for each pixel that a map of the whole picture has.

    Raises:
        ModelError: The graph is of a kind that cannot be painted in tiles.
    """

    def __init__(self, model: bytes, run: Run, *, name: str, size_multiple: int) -> None:
        self.model = onnx.load_model_from_string(model)
        self._name = name
        self._run = run
        self._producers = {output: node for node in self.model.graph.node for output in node.output}
        norms = [node for node in self.model.graph.node if node.op_type == NORM]
        crossings = crossing(self.model.graph, norms)
        probe = self._probe(size_multiple, {name for names in crossings for name in names})
        self.peak_values, self.norms = self._norms(size_multiple, probe)
        self.field, self.noise = self._noise()
        self.mixes = self._mixes(size_multiple, probe)
        self.kept = _kept(crossings, size_multiple, probe)

    def _probe(self, multiple: int, maps: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of maps, and of the kernels that make them, for a small picture."""
        graph = self.model.graph
        names = [n.output[0] for n in graph.node if n.op_type in ("Conv", "Resize", NORM)]
        names += [n.input[1] for n in graph.node if n.op_type == "Conv"]
        names = list(dict.fromkeys((*names, *sorted(maps))))
        nodes = [helper.make_node("Shape", [n], [f"{n}.shape"]) for n in names]
        outputs = [any_shape(f"{n}.shape", TensorProto.INT64) for n in names]
        image = np.zeros((1, *_probed(multiple), 3), np.uint8)
        part = extract(self.model, outputs, nodes=[*graph.node, *nodes])
        shapes = self._run(part, {INPUT: image} | self._any_mix()) if names else []
        return {n: tuple(map(int, shape)) for n, shape in zip(names, shapes, strict=True)}

    def _any_mix(self) -> Feeds:
        graph = self.model.graph
        for value in graph.input:
            if value.name == MIX:
                _, channels, height, width = value.type.tensor_type.shape.dim
                grid = height.dim_value or 2, width.dim_value or 3
                return {MIX: np.ones((1, channels.dim_value, *grid), np.float32)}
        return {}

    def _norms(
        self, multiple: int, probe: dict[str, tuple[int, ...]]
    ) -> tuple[float, tuple[Norm, ...]]:
        """Return the most values of a pixel, and the norms."""
        graph = self.model.graph
        found = [node for node in graph.node if node.op_type == NORM]
        names = list(dict.fromkeys(name for node in found for name in node.input[1:3]))
        copies = [helper.make_node("Identity", [n], [f"{n}.copy"]) for n in names]
        outputs = [any_shape(f"{n}.copy") for n in names]
        part = extract(self.model, outputs, nodes=[*graph.node, *copies])
        values = self._run(part, {}) if names else []
        numbers = dict(zip(names, values, strict=True))
        pixels = math.prod(_padded(multiple))
        work, peak, norms, before = 0.0, 3.0, [], []
        for node in graph.node:
            shape = probe.get(node.output[0])
            if shape is None:
                continue
            peak = max(peak, math.prod(shape) / pixels)
            if node.op_type == "Conv":
                work += math.prod(shape) * math.prod(probe[node.input[1]][1:])
            if node.op_type == NORM:
                norms.append(node)
                before.append(work)
        return peak, tuple(
            Norm(
                given=node.input[0],
                output=node.output[0],
                scale=numbers[node.input[1]],
                shift=numbers[node.input[2]],
                epsilon=next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5),
                work=done / max(work, 1.0),
            )
            for node, done in zip(norms, before, strict=True)
        )

    def _noise(self) -> tuple[str, NoiseField | None]:
        """Return the tensor that is the noise of a picture, and the noise; "" and None without."""
        graph = self.model.graph
        users = [node for node in graph.node if TEXTURE in node.input]
        if not users:
            return "", None
        tiles = {
            name: numpy_helper.to_array(tensor)
            for tensor in graph.initializer
            for name in ("noise.signs", "noise.values")
            if tensor.name.endswith(name)
        }
        if len(users) != 1 or users[0].op_type != "Mul" or len(tiles) != 2:
            raise self._refusal("its noise is not where it is expected")
        field = next(name for name in users[0].input if name != TEXTURE)
        noise = NoiseField(tiles["noise.signs"], tiles["noise.values"])
        output = any_shape(field)
        image = np.zeros((1, *NOISE_PROBE_PX, 3), np.uint8)
        (own,) = self._run(extract(self.model, [output]), {INPUT: image})
        height, width = own.shape[2:]
        if not np.allclose(own, noise.part((0, height), (0, width)), rtol=0, atol=1e-5):
            raise self._refusal("its noise is of another kind")
        return field, noise

    def _mixes(self, multiple: int, probe: dict[str, tuple[int, ...]]) -> tuple[PlacedMix, ...]:
        """Return the places where a regional mix is resized."""
        found = []
        for node in self.model.graph.node:
            if node.op_type != "Resize" or not self._is_of_the_mix(node):
                continue
            sides = probe[node.output[0]][2:]
            whole = _padded(multiple)
            fractions = (sides[0], whole[0]), (sides[1], whole[1])
            is_picture = multiple > 1 and sides == _probed(multiple)
            found.append(
                PlacedMix(node.input[0], node.output[0], None if is_picture else fractions)
            )
        return tuple(found)

    def _is_of_the_mix(self, node: NodeProto) -> bool:
        """Whether a node depends on the mix and not on a picture, other than on its size."""
        is_mix, seen, todo = False, set(), [node.input[0]]
        while todo:
            name = todo.pop()
            is_mix |= name == MIX
            maker = self._producers.get(name)
            if maker is None or name in seen or maker.op_type == "Shape":
                continue
            if maker.op_type == NORM:
                return False
            seen.add(name)
            todo += maker.input
        return is_mix

    def _refusal(self, reason: str) -> ModelError:
        return ModelError(
            f"{self._name} cannot be painted in tiles, {reason}; export it again with `nst export`"
        )


def _kept(
    crossings: Sequence[Sequence[str]], multiple: int, probe: dict[str, tuple[int, ...]]
) -> tuple[tuple[KeptMap, ...], ...]:
    """Return the maps of each norm with their sides; nothing where one is no map of the picture."""
    height, width = _padded(multiple)
    shapes = [probe[name] for names in crossings for name in names]
    if any(len(shape) != 4 or shape[0] != 1 for shape in shapes):
        return ()
    return tuple(
        tuple(
            KeptMap(name, probe[name][1], ((probe[name][2], height), (probe[name][3], width)))
            for name in names
        )
        for names in crossings
    )


def extract(
    model: ModelProto,
    outputs: Sequence[ValueInfoProto],
    *,
    nodes: Sequence[NodeProto] | None = None,
    constants: Sequence[TensorProto] = (),
    inputs: Sequence[ValueInfoProto] = (),
) -> bytes:
    """Return a model of what some outputs need, and nothing else.

    Args:
        model: Where initializers, inputs and versions come from.
        outputs: What is computed.
        nodes: Those to choose from, in order; the model's own if not given.
        constants: Initializers beside the model's.
        inputs: Beside the model's; what computes them is left out.
    """
    cut = {value.name for value in inputs}
    needed = {value.name for value in outputs}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node if nodes is None else nodes):
        if needed.intersection(node.output) and not cut.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    held = [t for t in (*model.graph.initializer, *constants) if t.name in needed]
    values = [v for v in (*model.graph.input, *inputs) if v.name in needed]
    part = helper.make_graph(kept[::-1], "part", values, outputs, held)
    made = ModelProto(ir_version=model.ir_version, graph=part)
    made.opset_import.extend(model.opset_import)
    data: bytes = made.SerializeToString()
    return data


def any_shape(name: str, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    """Return the declaration of an output whose shape is left to the runtime."""
    return helper.make_tensor_value_info(name, kind, None)


def _padded(multiple: int) -> tuple[int, int]:
    """Return the sides of the picture that a graph is probed with, as the network pads it."""
    return PROBE[0] * multiple, PROBE[1] * multiple


def _probed(multiple: int) -> tuple[int, int]:
    height, width = _padded(multiple)
    return height - multiple + 1, width - multiple + 1
