"""The optimiser: its learning rates, what each parameter is changed by, and settings that are refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vasal_jax.errors import InputError
from vasal_jax.training.optimizer import OptimizerConfig, learning_rate_schedule, make_optimizer, trained

PARAMETERS = ("visual.conv1_1.kernel", "visual.conv1_1.bias", "visual.flow1.kernel", "face.none.bias")


def test_learning_rates():
    config = OptimizerConfig(learning_rate=2.0, warmup=3, final_share=0.1)
    rates = [float(learning_rate_schedule(config, 14)(update)) for update in range(16)]
    np.testing.assert_allclose(rates[:4], [0.5, 1.0, 1.5, 2.0], rtol=1e-6)
    assert rates[8] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5), rel=1e-6)
    np.testing.assert_allclose(rates[13:], 0.2, rtol=1e-6)
    assert sorted(rates[3:], reverse=True) == rates[3:]
    constant = dataclasses.replace(config, schedule="constant")
    assert [float(learning_rate_schedule(constant, 14)(update)) for update in (3, 13)] == [2.0, 2.0]


@pytest.mark.parametrize("warmup", [0, 1, 50])
@pytest.mark.parametrize("final_share", [0.0, 0.3])
def test_the_rise_and_the_cosine_are_these_formulas(warmup, final_share):
    updates, update = 400, np.arange(420)
    config = OptimizerConfig(learning_rate=2e-4, warmup=warmup, final_share=final_share)
    rise = np.minimum((update + 1) / (warmup + 1), 1)
    done = np.clip((update - warmup) / (updates - 1 - warmup), 0, 1)
    expected = 2e-4 * rise * (final_share + (1 - final_share) * (1 + np.cos(np.pi * done)) / 2)
    found = jax.vmap(learning_rate_schedule(config, updates))(jnp.arange(420))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-4 * 1e-7)


def test_factors_multiply_the_updates_to_the_bit():
    rng = np.random.default_rng(3)
    params, gradients = ({name: rng.normal(size=5).astype(np.float32) for name in PARAMETERS} for _ in range(2))
    config = OptimizerConfig(weight_decay=0.1)
    plain, scaled = (
        make_optimizer(c, 10) for c in (config, dataclasses.replace(config, texture_factor=0.25, face_factor=0.5))
    )
    before, _ = plain.update(gradients, plain.init(params), params)
    after, _ = scaled.update(gradients, scaled.init(params), params)
    for name, factor in zip(PARAMETERS, (0.25, 0.25, 1.0, 0.5), strict=True):
        np.testing.assert_array_equal(after[name], np.float32(factor) * before[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sgd"}, "kind must be one of adamw, adam"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be"),
        ({"clip_norm": -1.0}, "clip_norm must be"),
        ({"beta2": 1.0}, "beta2 must be"),
        ({"ema_decay": 1.0}, "ema_decay must be"),
        ({"final_share": 1.5}, "final_share must be"),
        ({"accumulation": 0}, "accumulation must be an integer from 1 on"),
        ({"warmup": 10}, "warmup must be shorter than the 10 updates"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        learning_rate_schedule(OptimizerConfig(**changes), 10)


@pytest.mark.parametrize(
    ("freeze", "message"), [(("visual.conv9*",), "visual.conv9.*names no parameter"), (("*",), "leaves no parameter")]
)
def test_freezing_nothing_or_everything_is_refused(freeze, message):
    with pytest.raises(InputError, match=message):
        trained(OptimizerConfig(freeze=freeze), PARAMETERS)
