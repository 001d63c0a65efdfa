"""The recurrent state of videos from clip to clip, remembered as a `Memory` says."""

from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from vasal_jax.config import Memory
from vasal_jax.ops import Array

Results = TypeVar("Results")
State = TypeVar("State")  # a tree of arrays (B, ...): a `Carry`, or an exported program's


class RecurrentState(Generic[State]):
    """The state of B videos, one a lane, each of which is at a frame of its own.

    Args:
      memory: what is remembered.
      start: the state at the start of a video, such as `VASal.initial_carry(B, N)`.
      put: where several processes have their own lanes of one array, puts what each has in them together. Then all of
        them compute the same, whatever the frames of their own lanes.
    """

    def __init__(self, memory: Memory, start: State, put: Callable[[np.ndarray], jax.Array] | None = None):
        self._memory, self._start, self._put = memory, start, put
        self._shown = self._next = start  # they part where `memory` overlaps, at the first of its borders

    def __call__(self, frames: np.ndarray, run: Callable[[State], tuple[Results, State]]) -> Results:
        """Runs a model on one clip of each video and keeps the state for the clips after.

        Args:
          frames: int (B,), the first frame of each clip, counted from the video's first frame that the model gets. No
            border of the memory lies inside a clip: its length divides `Memory.period` or comes from
            `Memory.clip_length`.
          run: from a state to the results and the state after the clips.

        Returns:
          The results of `run` on the state that the memory says.
        """
        frames, period = np.asarray(frames), self._memory.period
        fresh = frames == 0
        border = frames % period == 0 if period else fresh
        if self._memory.kind != "overlap":
            results, self._shown = run(self._where(border | fresh, self._start, self._shown))
            return results
        shown = self._where(fresh, self._start, self._where(border, self._next, self._shown))
        following = self._where(border, self._start, self._next)
        same = bool(fresh.all()) or (self._next is self._shown and not border.any())
        same = same and self._put is None
        results, self._shown = run(shown)
        self._next = self._shown if same else run(following)[1]
        return results

    def widen(self, start: State) -> None:
        """Goes on with more slots of a face branch; those that are new are as in `start`, the state of so many."""
        same = self._next is self._shown
        self._start, self._shown = start, _widened(self._shown, start)
        self._next = self._shown if same else _widened(self._next, start)

    def _where(self, mask: np.ndarray, chosen: State, other: State) -> State:
        """The one state in the lanes of the mask, the other one in the rest."""
        if self._put is not None:
            return _mixed(self._put(mask), chosen, other)
        if mask.all() or chosen is other:
            return chosen
        return _mixed(mask, chosen, other) if mask.any() else other


def _widened(state: State, start: State) -> State:
    def widen(old: Array, new: Array) -> Array:
        return old if old.shape == new.shape else jnp.concatenate([old, new[:, old.shape[1] :]], axis=1)

    return jax.tree.map(widen, state, start)


@jax.jit
def _mixed(mask: jax.Array, chosen: State, other: State) -> State:
    def mix(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    return jax.tree.map(mix, chosen, other)
