"""Each form of program against the model that it was written from."""

import jax
import numpy as np
import pytest

from tests.helpers.models import narrow_model, weighing_model
from tests.helpers.programs import handed_on, sampled
from vasal_jax import exported
from vasal_jax.exported.jax_form import results_of

CASES = [
    ("jax", narrow_model, None),
    pytest.param("jax", weighing_model, None, marks=pytest.mark.slow),
    pytest.param("onnx", narrow_model, None, marks=pytest.mark.slow),
    ("onnx", weighing_model, None),
    pytest.param("tflite", narrow_model, {"B": 3}, marks=pytest.mark.slow),
    pytest.param("tflite", weighing_model, {"B": 3, "N": 2}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("form", "make", "sizes"), CASES)
def test_three_videos_with_the_state_handed_on(tmp_path, form, make, sizes):
    model = make()
    exported.save(model, tmp_path / "program", form, sizes)
    program = exported.load(tmp_path / "program")
    reference = jax.jit(lambda inputs: results_of(model, program.interface, inputs))
    state = same_state = program.initial_carry(3, 2)
    for seed in range(2):
        inputs = sampled(program, 3, 2, 2, seed)
        found, expected = program(inputs | state), reference(inputs | same_state)
        assert set(found) == set(expected) == set(program.interface.given)
        for name, value in expected.items():
            atol = 1e-5 * np.max(value) if name == "maps" else 2e-3
            np.testing.assert_allclose(found[name], value, rtol=0, atol=atol, err_msg=name)
        state, same_state = handed_on(found), handed_on(expected)
    assert np.max(expected["maps"]) > 0.01  # of flat maps, equality would say nothing


@pytest.mark.parametrize("form", [pytest.param("jax", marks=pytest.mark.slow), "onnx"])
def test_any_number_of_videos_frames_and_faces(tmp_path, form):
    """One file takes them all, and a clip is as good as its frames one by one."""
    exported.save(weighing_model(), tmp_path / "program", form)
    program = exported.load(tmp_path / "program")
    inputs = sampled(program, 2, 3, 4)
    whole = program(inputs | program.initial_carry(2, 4))
    state = program.initial_carry(2, 4)
    for frame in range(3):
        one = program({name: value[:, frame : frame + 1] for name, value in inputs.items()} | state)
        np.testing.assert_allclose(one["maps"][:, 0], whole["maps"][:, frame], atol=1e-5 * np.max(whole["maps"]))
        state = handed_on(one)
    first = {name: value[:1] for name, value in inputs.items()}
    alone = program(first | program.initial_carry(1, 4))
    np.testing.assert_allclose(alone["maps"], whole["maps"][:1], atol=1e-5 * np.max(whole["maps"]))
