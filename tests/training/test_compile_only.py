"""Steps compiled without data or devices: `--compile-only` on this machine, and, in slow tests, for TPU slices."""

from importlib.util import find_spec

import pytest

import train
from configs import PRESETS
from vasal_jax.training.compile_only import most_that_fit

needs_libtpu = pytest.mark.skipif(
    find_spec("libtpu") is None, reason='the TPU\'s compiler is not installed: pip install "vasal-jax[tpu-check]"'
)


@pytest.mark.parametrize(
    ("base", "each", "most"), [(1.0, 1.0, 15), (0.1, 14.0, 1), (3.0, 14.0, 0), (0.5, 0.0131, 1183)]
)
@pytest.mark.parametrize("bend", [0.0, 0.2])
def test_the_most_clips_that_fit_are_found_in_few_steps(base, each, most, bend):
    asked = []

    def memory(clips: int) -> float | None:
        asked.append(clips)
        used = base + each * clips + (bend if clips > 1 else 0)  # not quite a line
        return used if used <= 16 else None

    found = most_that_fit(memory, 16.0)
    assert found == max((n for n in range(1, 1300) if memory(n) is not None), default=0)
    assert bend or found == most
    assert len(asked) - 1299 <= 8


SMALL = ["synthetic_tiny", "--clips.length", "2", "--model.dtype", "bfloat16", "--batch-size", "1"]


@pytest.mark.slow
def test_the_devices_at_hand_are_compiled_for_without_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main([*SMALL, "--compile-only", "here"]) == 0
    said = capsys.readouterr().out
    assert "a training step, compiled for here" in said
    assert "clips a chip" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compile-only", "v9"], "topology: expected here"),
        (["--fit"], "--fit needs a topology"),
        (["--compile-only", "here", "--fit"], "the memory of a cpu is not known"),
    ],
)
def test_a_mistake_costs_one_line(words, message, capsys):
    try:
        code = train.main([*SMALL, *words])
    except SystemExit as refusal:  # the command line itself refuses what no config can hold
        code = refusal.code
    assert code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@needs_libtpu
def test_a_batch_that_the_chips_cannot_share_is_refused(capsys):
    assert train.main([*SMALL, "--compile-only", "v5e:4x4"]) == 2
    assert "1 clips for 16 chips; choose a multiple of 16" in capsys.readouterr().err


@needs_libtpu
@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fits_a_slice_and_reduces_counts_and_gradients_once(preset, capsys):
    assert train.main([preset, "--compile-only", "v5e:4x4", "--batch-size", "16"]) == 0
    said = capsys.readouterr().out
    print(said)
    assert "16 of TPU v5e, 1 slice" in said
    assert "2 all-reduce" in said
    assert not {"all-gather", "all-to-all", "reduce-scatter", "collective-permute"} & set(said.split())
