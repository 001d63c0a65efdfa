"""Names, shapes and types of what goes into an exported program and comes out of it."""

from typing import NamedTuple

from vasal_jax.config import MAP_SIZE, ModelConfig, input_shapes

Size = int | str
"""Of an axis: a number, or the name of one that is open: "B" videos, "T" frames, "N" face slots, "N + 1"."""


class Spec(NamedTuple):
    """Shape and type of an array."""

    shape: tuple[Size, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.shape))})"


class Interface(NamedTuple):
    """The arrays of a program by name; all of them are channels last, as in a `Batch`.

    The state goes in under names with `carry_` and comes out, for the clip after, under those with `next_`. Before the
    first frame of a video it is zeros.
    """

    inputs: dict[str, Spec]  # the fields of a `Batch` that the model reads
    carry: dict[str, Spec]
    results: dict[str, Spec]
    following: dict[str, Spec]  # the carry after the clip, in the order of `carry`

    @classmethod
    def of(cls, config: ModelConfig, sizes: dict[str, int] | None = None) -> "Interface":
        """The interface of a model's program; `sizes` closes open axes, such as {"B": 1, "T": 2, "N": 4}."""
        fields = input_shapes(0 if config.face else None)
        shapes: dict[str, tuple[Size, ...]] = {name: ("B", "T", *shape) for name, shape in fields.items()}
        results = {"maps": Spec(("B", "T", MAP_SIZE, MAP_SIZE))}
        state = {
            f"lstm{cell}_{part}": Spec(("B", MAP_SIZE, MAP_SIZE, hidden))
            for cell, hidden in enumerate(config.lstm, start=1)
            for part in ("h", "c")
        }
        if config.face:
            slots = ("face_crops", "face_boxes", "face_mask")
            shapes |= {name: ("B", "T", "N", *fields[name][1:]) for name in slots}
            results["face_weights"] = Spec(("B", "T", "N + 1"))
            results["face_talking"] = Spec(("B", "T", "N"))
            *_, features, hidden = config.face
            for name, size in (("h", hidden), ("c", hidden), ("features", features)):
                state[f"face_{name}"] = Spec(("B", "N", size))
            state["face_seen"] = Spec(("B", "N"), "bool")
        inputs = {name: Spec(shape, "bool" if name == "face_mask" else "float32") for name, shape in shapes.items()}
        carry, following = ({f"{prefix}_{n}": s for n, s in state.items()} for prefix in ("carry", "next"))
        return cls(
            *({n: _closed(s, sizes or {}) for n, s in part.items()} for part in (inputs, carry, results, following))
        )

    @property
    def taken(self) -> dict[str, Spec]:
        """All that goes in."""
        return self.inputs | self.carry

    @property
    def given(self) -> dict[str, Spec]:
        """All that comes out."""
        return self.results | self.following


def _closed(spec: Spec, sizes: dict[str, int]) -> Spec:
    known: dict[Size, int] = {**sizes}
    if "N" in sizes:
        known["N + 1"] = sizes["N"] + 1
    return Spec(tuple(known.get(size, size) for size in spec.shape), spec.dtype)
