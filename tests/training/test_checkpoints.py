"""Checkpoints: what comes back, what is kept, and what happens to damaged ones."""

import errno
import hashlib
import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.batches import StandIn, stand_in_params
from tests.helpers.models import small_config
from vasal_jax.errors import InputError
from vasal_jax.training.checkpoints import CheckpointConfig, Checkpoints
from vasal_jax.training.losses import LossWeights
from vasal_jax.training.optimizer import OptimizerConfig
from vasal_jax.training.step import TrainState


def drawn_state(step: int, seed: int = 0, **optimizer) -> TrainState:
    """A state of random numbers, subnormals and infinities among them."""
    training = StandIn(small_config(), LossWeights(), OptimizerConfig(**optimizer), 10)
    rng = np.random.default_rng(seed)

    def drawn(x):
        values = rng.integers(0, 2**32, x.size, dtype=np.uint32).view(np.float32).reshape(x.shape)
        return jnp.asarray(np.where(np.isnan(values), 1, values)) if x.dtype == jnp.float32 else x + 7

    state = jax.tree.map(drawn, training.initial_state(stand_in_params()))
    return TrainState(**{**vars(state), "step": jnp.int32(step)})


def bits(state: TrainState):
    return jax.tree.map(lambda x: np.array(x).tobytes(), state)


def saved(folder, *steps: int, scores=(), keep: int = 9) -> Checkpoints:
    """Checkpoints at these steps, each of another random state."""
    checkpoints = Checkpoints(folder, CheckpointConfig(keep=keep))
    for step, score in zip(steps, scores or [None] * len(steps), strict=True):
        checkpoints.save(drawn_state(step, seed=step), {"clips": 8 * step}, score)
    checkpoints.wait()
    return checkpoints


def steps_in(folder) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def test_what_was_saved_comes_back_to_the_bit(tmp_path):
    position = {"epoch": 2, "clips": 40, "order": [3, 1, 2], "name": "é"}
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", CheckpointConfig())
    assert checkpoints.restore_latest(drawn_state(0)) is None
    state = drawn_state(7, seed=3)
    checkpoints.save(state, position)
    checkpoints.wait()
    again = Checkpoints(tmp_path / "run" / "checkpoints", CheckpointConfig())
    found, place = again.restore_latest(drawn_state(0))
    assert bits(found) == bits(state)
    assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(lambda x: x.dtype, state)
    assert place == position


def test_the_state_may_be_donated_while_it_is_written(tmp_path):
    """The memory is overwritten at once, and the position changed, after `save` returns."""
    state, position = drawn_state(1, seed=4), {"clips": 8}
    expected = bits(state)
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: x * 0 + 3, state), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path, CheckpointConfig())
    checkpoints.save(state, position)
    for _ in range(5):
        state = overwrite(state)
    position["clips"] = -1
    checkpoints.wait()
    found, place = checkpoints.restore_latest(drawn_state(0))
    assert bits(found) == expected
    assert place == {"clips": 8}


def test_the_newest_and_the_best_are_kept(tmp_path):
    scores = (0.9, 0.4, None, 0.6, float("nan"), 0.5, 0.4)
    checkpoints = saved(tmp_path, *range(1, 7), scores=scores[:6], keep=2)
    assert steps_in(tmp_path) == [2, 5, 6]
    assert int(checkpoints.restore_best(drawn_state(0))[0].step) == 2
    checkpoints.save(drawn_state(7), {}, scores[6])  # as good as the best, and newer
    checkpoints.wait()
    assert steps_in(tmp_path) == [6, 7]
    assert int(checkpoints.restore_best(drawn_state(0))[0].step) == 7
    assert saved(tmp_path / "other", 1, 2).restore_best(drawn_state(0)) is None


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def largest_file(folder):
    return max((path for path in (folder / "state").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


DAMAGE = {
    "a flipped bit": lambda home: flip(largest_file(home)),
    "a file cut short": lambda home: os.truncate(largest_file(home), 10),
    "a file gone": lambda home: largest_file(home).unlink(),
    "never finished": lambda home: (home / "checkpoint.json").unlink(),
    "only begun": lambda home: (shutil.rmtree(home), home.mkdir()),
    "a flipped bit in the seal": lambda home: flip(home / "checkpoint.json"),
    "another position": lambda home: (home / "checkpoint.json").write_text(
        (home / "checkpoint.json").read_text().replace('"clips": 16', '"clips": 17')
    ),
    "an empty seal": lambda home: (home / "checkpoint.json").write_text(""),
    "a strange seal": lambda home: (home / "checkpoint.json").write_text(json.dumps([1])),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_with_one_warning(tmp_path, caplog, damage):
    checkpoints = saved(tmp_path, 1, 2)
    damage(tmp_path / "00000002")
    found, position = checkpoints.restore_latest(drawn_state(0))
    assert bits(found) == bits(drawn_state(1, seed=1))
    assert position == {"clips": 8}
    assert len(caplog.messages) == 1
    assert "00000002: passed over" in caplog.messages[0]


def test_every_file_is_guarded(tmp_path):
    checkpoints = saved(tmp_path, 1, 2)
    files = [path for path in (tmp_path / "00000002").rglob("*") if path.is_file()]
    assert len(files) > 3
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole + b"x")
        assert int(checkpoints.restore_latest(drawn_state(0))[0].step) == 1, path
        path.write_bytes(whole)
    assert int(checkpoints.restore_latest(drawn_state(0))[0].step) == 2


def test_training_replaces_and_deletes_damaged_checkpoints(tmp_path):
    """Training replaces a damaged checkpoint when it reaches its step again, and deletes it with old ones.

    A damaged checkpoint counts neither as the best nor among those that are kept.
    """
    checkpoints = saved(tmp_path, 1, 2, 3, scores=(0.3, 0.1, 0.2))
    flip(tmp_path / "00000002" / "checkpoint.json")
    largest_file(tmp_path / "00000003").unlink()
    assert int(checkpoints.restore_best(drawn_state(0))[0].step) == 1
    assert int(checkpoints.restore_latest(drawn_state(0))[0].step) == 1
    saved(tmp_path, 2, keep=2)
    assert steps_in(tmp_path) == [1, 2]
    assert bits(checkpoints.restore_latest(drawn_state(0))[0]) == bits(drawn_state(2, seed=2))


def test_what_others_put_there_stays_when_a_checkpoint_goes(tmp_path):
    checkpoints = saved(tmp_path, 1, 2)
    (tmp_path / "00000001" / "notes.txt").write_text("the one of the paper")
    (tmp_path / "00000002" / "state" / "mine").mkdir()
    (tmp_path / "00000002" / "state" / "mine" / "plot.png").touch()
    (tmp_path / "00000000" / "results").mkdir(parents=True)
    (tmp_path / "00000000" / "results" / "state").touch()
    outside = tmp_path.parent / f"{tmp_path.name}_outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "00000003").mkdir()
    (tmp_path / "00000003" / "state").symlink_to(outside)
    seal = {"files": {"../../" + outside.name + "/kept": {}}, "score": None}
    digest = hashlib.sha256(json.dumps(seal, sort_keys=True).encode()).hexdigest()
    (tmp_path / "00000003" / "checkpoint.json").write_text(json.dumps({"sha256": digest, "content": seal}))

    checkpoints.config = CheckpointConfig(keep=1)
    checkpoints.save(drawn_state(4), {})
    checkpoints.wait()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if not path.is_dir())
    assert [name for name in left if not name.startswith("00000004/")] == [
        "00000000/results/state", "00000001/notes.txt", "00000002/state/mine/plot.png",
    ]  # fmt: skip
    assert (tmp_path / "00000003" / "state").is_symlink()
    assert (outside / "kept").exists()


def test_nothing_is_restored_if_every_checkpoint_is_damaged(tmp_path, caplog):
    checkpoints = saved(tmp_path, 1)
    DAMAGE["never finished"](tmp_path / "00000001")
    assert checkpoints.restore_latest(drawn_state(0)) is None
    assert len(caplog.messages) == 1


def test_a_state_of_another_config_is_refused(tmp_path):
    checkpoints = saved(tmp_path, 1)
    refused = "00000001: is of another model or optimiser: "
    with pytest.raises(InputError, match=refused + r"opt_state.*face.none.bias is float32 \(1,\) there and missing"):
        checkpoints.restore_latest(drawn_state(0, freeze=("face.*",)))
    other = drawn_state(0)
    other.params["fusion.head.bias"] = jnp.zeros(3)
    with pytest.raises(InputError, match=refused + r".* is float32 \(32, 32\) there and float32 \(3,\) here"):
        checkpoints.restore_latest(other)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"00000001: the checkpoint cannot be written \(.*\); free space or choose"):
        saved(tmp_path / "file", 1)


def test_a_failure_while_writing_is_raised_once_and_loses_nothing(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path, 1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vasal_jax.training.checkpoints.Path.write_text", full)
    checkpoints.save(drawn_state(2), {})
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        checkpoints.wait()
    checkpoints.wait()  # the error was raised already
    assert bits(checkpoints.restore_latest(drawn_state(0))[0]) == bits(drawn_state(1, seed=1))
    monkeypatch.undo()
    saved(tmp_path, 2)
    assert int(checkpoints.restore_latest(drawn_state(0))[0].step) == 2


def test_due_by_steps_and_by_minutes(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("vasal_jax.training.checkpoints.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, CheckpointConfig(every_steps=10, every_minutes=2.0))
    assert [step for step in range(1, 31) if checkpoints.due(step)] == [10, 20, 30]
    now[0] += 119
    assert not checkpoints.due(31)
    now[0] += 1
    assert checkpoints.due(31)
    checkpoints.save(drawn_state(31), {})
    assert not checkpoints.due(32)
    checkpoints.wait()
    never = Checkpoints(tmp_path, CheckpointConfig(every_steps=0, every_minutes=0))
    now[0] += 1e6
    assert not never.due(1000)


@pytest.mark.parametrize("changes", [{"every_steps": -1}, {"every_minutes": float("nan")}, {"keep": 0}])
def test_impossible_settings_are_refused(changes):
    with pytest.raises(InputError, match="checkpoints"):
        CheckpointConfig(**changes)
