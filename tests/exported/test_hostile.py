"""Exported files that are damaged, foreign or made to harm: refused in one line that names them."""

import json
import struct

import jax
import numpy as np
import onnx
import pytest
import safetensors.numpy
from jax import export
from onnx import helper

from tests.helpers.budget import outcome, refusal
from tests.helpers.models import narrow_model
from vasal_jax import exported
from vasal_jax.errors import InputError
from vasal_jax.exported import description as descriptions
from vasal_jax.exported.description import KEY, sealed

LOAD = "vasal_jax.exported:load"


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    folder, model = tmp_path_factory.mktemp("programs"), narrow_model()
    for form in ("jax", "onnx"):
        exported.save(model, folder / form, form)
    return {form: (folder / form).read_bytes() for form in ("jax", "onnx")}


def reopened(content: bytes) -> bytes:
    """The content with its hash open again, to be sealed once it is changed."""
    return descriptions._SEALED.sub(descriptions._OPEN_HASH, content)


@pytest.mark.parametrize("form", ["jax", "onnx"])
def test_a_damaged_byte_anywhere(tmp_path, contents, form):
    content = contents[form]
    for at in np.random.default_rng(0).integers(0, len(content), 20):
        path = tmp_path / "damaged"
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
        with pytest.raises(InputError, match=r"damaged: |damaged, its hash"):
            exported.load(path)


@pytest.mark.parametrize("form", ["jax", "onnx"])
def test_a_file_that_ends_early(tmp_path, contents, form):
    for share in (0.1, 0.9, 0.999):
        path = tmp_path / "short"
        path.write_bytes(contents[form][: int(share * len(contents[form]))])
        with pytest.raises(InputError, match=f"{path}: (damaged|expected a file that vasal export wrote)"):
            exported.load(path)


def load_changed(tmp_path, content: bytes) -> None:
    """Loads a file whose maker has sealed it as `save` does."""
    path = tmp_path / "changed"
    path.write_bytes(sealed(reopened(content)))
    with pytest.raises(InputError, match=f"^{path}: ") as error:
        exported.load(path)
    raise InputError(str(error.value).removeprefix(f"{path}: ")) from None


def test_files_of_others(tmp_path, contents):
    foreign = {
        "weights": safetensors.numpy.save({"a": np.zeros(3, np.float32)}),
        "empty": b"",
        "text": b"maps, please",
        "tflite": struct.pack("<I", 8) + b"TFL3" + bytes(64),
    }
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: expected a file that vasal export wrote"):
            exported.load(tmp_path / name)
    with pytest.raises(InputError, match="no such file, expected an exported program"):
        exported.load(tmp_path / "missing")


DESCRIPTIONS = [
    ({"version": 99}, "description of version 1"),
    ({"sizes": {"B": 10**9}}, "sizes B, T, N from 1 to 1024"),
    ({"sizes": {"Q": 1}}, "sizes B, T, N from 1 to 1024"),
    ({"sizes": None}, "none of its descriptions"),
    ({"config": {"texture": [10**9] * 6}}, "model config"),
    ({"config": None}, "model config"),
    ({"memory": "for ever"}, "memory: expected"),
    ({"config": {"fusion": 5}}, "its inputs or outputs are not those of its config|weights do not fit"),
]


@pytest.mark.parametrize(("change", "message"), DESCRIPTIONS)
@pytest.mark.parametrize("form", ["jax", "onnx"])
def test_descriptions_that_lie(tmp_path, contents, form, change, message):
    def changed(text: str) -> str:
        return json.dumps(json.loads(text) | change)

    with pytest.raises(InputError, match=message):
        load_changed(tmp_path, CHANGED[form](contents[form], changed))


def _changed_jax(content: bytes, changed) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    return _jax_file(safetensors.numpy.load(content), changed(header["__metadata__"][KEY]))


def _jax_file(tensors: dict[str, np.ndarray], text: str) -> bytes:
    return safetensors.numpy.save(tensors, metadata={KEY: text})


def _changed_onnx(content: bytes, changed) -> bytes:
    model = onnx.load_model_from_string(content)
    helper.set_model_props(model, {KEY: changed(model.metadata_props[0].value)})
    return model.SerializeToString()


CHANGED = {"jax": _changed_jax, "onnx": _changed_onnx}


def _with_external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _with_an_operator_of_others(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))
    model.graph.node.append(helper.make_node("PyOp", ["frames"], ["x"], domain="ai.onnx.contrib"))


def _with_an_operator_in_a_loop(model: onnx.ModelProto) -> None:
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(attribute.g for attribute in scan.attribute if attribute.name == "body")
    body.node.append(helper.make_node("RandomNormal", [], ["x"], shape=[2**40]))


def _with_many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Relu", ["frames"], [f"x{n}"]) for n in range(3000))


def _with_another_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "secrets"


ONNX = [
    (_with_external_weights, "weights are in other files"),
    (_with_an_operator_of_others, "of other kinds: ai.onnx.contrib PyOp"),
    (_with_an_operator_in_a_loop, "of other kinds: RandomNormal"),
    (_with_many_nodes, "nodes, of other kinds: none"),
    (_with_another_output, "not those of its config"),
]


@pytest.mark.parametrize(("change", "message"), ONNX)
def test_onnx_models_that_do_more(tmp_path, contents, change, message):
    model = onnx.load_model_from_string(contents["onnx"])
    change(model)
    with pytest.raises(InputError, match=f"not a program that vasal-jax exported .*{message}"):
        load_changed(tmp_path, model.SerializeToString())


def test_jax_programs_that_do_more(tmp_path, contents):
    tensors, text = safetensors.numpy.load(contents["jax"]), [""]
    _changed_jax(contents["jax"], lambda found: text.append(found) or found)

    def with_program(program: bytes) -> bytes:
        return _jax_file(tensors | {"program": np.frombuffer(program, np.uint8)}, text[-1])

    given = export.deserialize(bytearray(tensors["program"].tobytes()))

    def calling(parameters, inputs):
        outputs = given.call(parameters, inputs)
        said = jax.ffi.ffi_call("others", jax.ShapeDtypeStruct((), np.float32))()
        return outputs | {"maps": outputs["maps"] + said}

    (arguments, _) = jax.tree.unflatten(given.in_tree, given.in_avals)
    structs = jax.tree.map(lambda aval: jax.ShapeDtypeStruct(aval.shape, aval.dtype), arguments)
    allowed = [export.DisabledSafetyCheck.custom_call("others")]
    program = export.export(jax.jit(calling), platforms=["cpu"], disabled_checks=allowed)(*structs).serialize()
    with pytest.raises(InputError, match="it calls something outside itself"):
        load_changed(tmp_path, with_program(program))
    other = export.export(jax.jit(lambda x: x))(jax.ShapeDtypeStruct((2,), np.float32)).serialize()
    with pytest.raises(InputError, match="not a program that vasal-jax exported"):
        load_changed(tmp_path, with_program(other))
    for junk in (b"", b"junk" * 100, bytes(tensors["program"][:5000])):
        with pytest.raises(InputError, match="not a program that vasal-jax exported"):
            load_changed(tmp_path, with_program(junk))


@pytest.mark.slow
def test_a_refusal_takes_little(tmp_path):
    """A sparse file of the largest size, without a description; and one that is larger than any."""
    path = tmp_path / "hole"
    with path.open("wb") as file:
        file.truncate(320 * 2**20)
    assert "expected a file that vasal export wrote" in refusal(LOAD, path)
    with path.open("wb") as file:
        file.truncate(320 * 2**20 + 1)
    assert "at most 335544320 bytes" in refusal(LOAD, path)


@pytest.mark.slow
@pytest.mark.parametrize("form", exported.FORMS)
def test_changed_bytes_under_a_right_hash_end_no_process(tmp_path, form):
    """What their maker has changed anywhere is refused, or is a program like any other; it ends no process."""
    exported.save(narrow_model(), tmp_path / "p", form)
    content, rng = reopened((tmp_path / "p").read_bytes()), np.random.default_rng(0)
    for number in range(20):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), 1 + number % 4):
            changed[at] = rng.integers(256)
        if changed.count(descriptions._OPEN_HASH) == 1:
            (tmp_path / "changed").write_bytes(sealed(bytes(changed)))
            outcome(LOAD, tmp_path / "changed")
