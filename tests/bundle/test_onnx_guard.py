"""The look through an ONNX file: external data wherever a tensor can be, foreign operators, another face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cxredge.bundle.onnx_guard import check_graph
from cxredge.errors import BundleError, Code
from tests.support.tiny_bundle import quantise, tiny_manifest, tiny_model

SIZE = (256, 256)
OUTPUTS: dict[str, tuple[int, ...]] = {"logits": (14,), "masks": (3, 128, 128), "heatmaps": (14, 7, 7)}


@pytest.fixture
def model() -> onnx.ModelProto:
    return tiny_model()


def refusal(model: onnx.ModelProto | bytes) -> BundleError:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(BundleError) as caught:
        check_graph(data, "graph.onnx", SIZE, OUTPUTS)
    assert "graph.onnx" in caught.value.detail
    return caught.value


def external(name: str = "outside") -> TensorProto:
    """A tensor that says its data lies in another file."""
    tensor = numpy_helper.from_array(np.zeros((1,), np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    return tensor


def constant(tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["unused"], value=tensor)


def body(*nodes: onnx.NodeProto, initializer: list[TensorProto] | None = None) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1])
    return helper.make_graph(list(nodes), "body", [], [output], initializer or [])


def branch(graph: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["condition"], ["chosen"], then_branch=graph, else_branch=body())


def in_initializer(m: onnx.ModelProto) -> None:
    m.graph.initializer.append(external())


def in_real_initializer(m: onnx.ModelProto) -> None:
    tensor = m.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL


def entries_without_location(m: onnx.ModelProto) -> None:
    entry = m.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def in_attribute(m: onnx.ModelProto) -> None:
    m.graph.node.append(constant(external()))


def in_attribute_list(m: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["unused"])
    attribute = node.attribute.add()
    attribute.name, attribute.type = "values", onnx.AttributeProto.TENSORS
    attribute.tensors.append(external())
    m.graph.node.append(node)


def in_subgraph_initializer(m: onnx.ModelProto) -> None:
    m.graph.node.append(branch(body(initializer=[external()])))


def in_subgraph_attribute(m: onnx.ModelProto) -> None:
    m.graph.node.append(branch(body(constant(external()))))


def in_nested_subgraph(m: onnx.ModelProto) -> None:
    m.graph.node.append(branch(body(branch(body(constant(external()))))))


def in_graph_list(m: onnx.ModelProto) -> None:
    node = helper.make_node("Odd", [], ["unused"])
    attribute = node.attribute.add()
    attribute.name, attribute.type = "bodies", onnx.AttributeProto.GRAPHS
    attribute.graphs.append(body(initializer=[external()]))
    m.graph.node.append(node)


def in_sparse_initializer(m: onnx.ModelProto) -> None:
    sparse = m.graph.sparse_initializer.add()
    sparse.values.CopyFrom(external())


def in_sparse_indices(m: onnx.ModelProto) -> None:
    sparse = m.graph.sparse_initializer.add()
    sparse.indices.CopyFrom(external())


def in_sparse_attribute(m: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["unused"])
    attribute = node.attribute.add()
    attribute.name, attribute.type = "sparse_value", onnx.AttributeProto.SPARSE_TENSOR
    attribute.sparse_tensor.values.CopyFrom(external())
    m.graph.node.append(node)


def in_function(m: onnx.ModelProto) -> None:
    function = helper.make_function("own", "f", [], ["unused"], [constant(external())], [helper.make_opsetid("", 17)])
    m.functions.append(function)


def in_function_default(m: onnx.ModelProto) -> None:
    function = helper.make_function("own", "f", [], [], [], [helper.make_opsetid("", 17)])
    attribute = function.attribute_proto.add()
    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
    attribute.t.CopyFrom(external())
    m.functions.append(function)


def in_training_info(m: onnx.ModelProto) -> None:
    m.training_info.add().initialization.initializer.append(external())


PLACES: list[Callable[[onnx.ModelProto], None]] = [
    in_initializer, in_real_initializer, entries_without_location, in_attribute, in_attribute_list,
    in_subgraph_initializer, in_subgraph_attribute, in_nested_subgraph, in_graph_list, in_sparse_initializer,
    in_sparse_indices, in_sparse_attribute, in_function, in_function_default, in_training_info,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_external_data(model: onnx.ModelProto, place: Callable[[onnx.ModelProto], None]) -> None:
    place(model)
    assert refusal(model).code is Code.BUNDLE_EXTERNAL_DATA


def test_external_data_in_a_second_graph_field(model: onnx.ModelProto) -> None:
    """Protobuf merges a message that stands twice: a reader that looks at one of them is fooled."""
    extra = onnx.ModelProto()
    extra.graph.initializer.append(external())
    data = model.SerializeToString() + extra.SerializeToString()
    assert len(onnx.load_from_string(data).graph.initializer) == len(model.graph.initializer) + 1
    assert refusal(data).code is Code.BUNDLE_EXTERNAL_DATA


def test_good_graphs_pass(model: onnx.ModelProto) -> None:
    check_graph(model.SerializeToString(), "fp32.onnx", SIZE, OUTPUTS)
    check_graph(quantise(model), "int8.onnx", SIZE, OUTPUTS)
    check_graph(tiny_model(gate=True).SerializeToString(), "g.onnx", SIZE, {**OUTPUTS, "gate": (3,)})


def test_own_functions_are_allowed(model: onnx.ModelProto) -> None:
    function = helper.make_function(
        "own",
        "f",
        [],
        ["y"],
        [constant(numpy_helper.from_array(np.zeros(1, np.float32)))],
        [helper.make_opsetid("", 17)],
    )
    model.functions.append(function)
    model.graph.node.append(helper.make_node("f", [], ["unused"], domain="own"))
    check_graph(model.SerializeToString(), "fp32.onnx", SIZE, OUTPUTS)


def foreign_domain(m: onnx.ModelProto) -> None:
    m.graph.node.append(helper.make_node("Anything", [], ["unused"], domain="com.example"))


def context_node(m: onnx.ModelProto) -> None:
    m.graph.node.append(helper.make_node("EPContext", [], ["unused"], domain="com.microsoft", ep_cache_context="../x"))


def foreign_domain_in_subgraph(m: onnx.ModelProto) -> None:
    m.graph.node.append(branch(body(helper.make_node("Anything", [], ["unused"], domain="com.example"))))


def second_input(m: onnx.ModelProto) -> None:
    m.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))


def no_input(m: onnx.ModelProto) -> None:
    del m.graph.input[:]


def renamed_input(m: onnx.ModelProto) -> None:
    m.graph.input[0].name = "picture"


def double_input(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def fixed_batch(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def other_size(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 224


def symbolic_size(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"


def colour_input(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def shapeless_input(m: onnx.ModelProto) -> None:
    m.graph.input[0].type.tensor_type.ClearField("shape")


def missing_output(m: onnx.ModelProto) -> None:
    del m.graph.output[1]


def extra_output(m: onnx.ModelProto) -> None:
    m.graph.output.append(helper.make_tensor_value_info("gate", TensorProto.FLOAT, ["N", 3]))


def other_output_size(m: onnx.ModelProto) -> None:
    m.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 2


def half_output(m: onnx.ModelProto) -> None:
    m.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16


FACES: list[Callable[[onnx.ModelProto], None]] = [
    foreign_domain, context_node, foreign_domain_in_subgraph, second_input, no_input, renamed_input, double_input,
    fixed_batch, other_size, symbolic_size, colour_input, shapeless_input, missing_output, extra_output,
    other_output_size, half_output,
]  # fmt: skip


@pytest.mark.parametrize("change", FACES, ids=lambda change: change.__name__)
def test_another_face(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], None]) -> None:
    change(model)
    assert refusal(model).code is Code.BUNDLE_INVALID


@pytest.mark.parametrize("data", [b"", b"hello", b"\x80\x04.", b"\xff" * 64, b"\x3a\xff\xff\xff\xff\x0f", b"\x0b\x0c"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    assert refusal(data).code is Code.BUNDLE_INVALID


def test_cut_models(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    for size in (1, 100, len(data) // 2, len(data) - 1):
        assert refusal(data[:size]).code is Code.BUNDLE_INVALID


def test_subgraphs_without_end() -> None:
    """Deep nesting ends in a refusal, not in a stack overflow."""
    data = b""
    for _ in range(5000):  # graph { node { attribute { g { ... } } } }
        for tag in (6 << 3 | 2, 5 << 3 | 2, 1 << 3 | 2):
            data = bytes([tag]) + varint(len(data)) + data
    assert refusal(bytes([7 << 3 | 2]) + varint(len(data)) + data).code is Code.BUNDLE_INVALID


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_random_damage(model: onnx.ModelProto) -> None:
    """Whatever the bytes are, the answer is a refusal or none; never another exception."""
    good, rng = model.SerializeToString(), np.random.default_rng(3)
    small = good[-6000:]
    for _ in range(300):
        bad = bytearray(small)
        for at in rng.integers(0, len(bad), rng.integers(1, 20)):
            bad[at] = int(rng.integers(256))
        try:
            check_graph(bytes(bad), "graph.onnx", SIZE, OUTPUTS)
        except BundleError as error:
            assert error.code in (Code.BUNDLE_INVALID, Code.BUNDLE_EXTERNAL_DATA)


def test_outputs_are_the_manifests() -> None:
    assert tiny_manifest()["golden"]["outputs"].keys() == OUTPUTS.keys()
