"""How the arrays of an Orbax folder are cut into chunks, looked at before any is unpacked."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system.reading import read_json

_METADATA = "_METADATA"


def check_chunks(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `InputError` where an array has other numbers than float32, or is cut into absurd chunks.

    TensorStore unpacks whole chunks, whose size a few bytes can claim whatever the array's own is.

    Args:
      folder: of the weights.
      shapes: what each array has to be.
    """
    import tensorstore

    places = list(folder.glob(f"*/{_METADATA}"))
    if len(places) != 1:
        raise InputError(f"{folder}: not an Orbax weights folder (expected one set of arrays, found {len(places)})")
    metadata = read_json(places[0], "Orbax's metadata", limits.MAX_WEIGHTS_HEADER_BYTES)
    base = {"driver": "file", "path": f"{places[0].parent}/"}
    total = 0
    for name, shape in shapes.items():
        store = {"driver": "ocdbt", "base": base, "path": f"{name}/"}
        if not metadata.get("use_ocdbt"):
            store = base | {"path": f"{base['path']}{name}/"}
        driver = "zarr3" if metadata.get("use_zarr3") else "zarr"
        try:
            array = tensorstore.open({"driver": driver, "kvstore": store}, open=True, read=True).result()
        except (ValueError, OSError, RuntimeError, NotImplementedError) as error:
            reason = str(error).partition("\n")[0][:200]
            raise InputError(f"{folder}: a damaged Orbax weights folder ({name}: {reason})") from None
        layout = array.chunk_layout
        # Chunks that are read may lie in larger ones, which have an index of them.
        chunk, shard = (
            tuple(side or 0 for side in part.shape or ()) for part in (layout.read_chunk, layout.write_chunk)
        )
        total += math.prod(-(-side // max(1, part)) for side, part in zip(shape, chunk, strict=False))
        if (
            array.shape != shape
            or array.dtype.name != "float32"
            or not len(chunk) == len(shard) == len(shape)
            or any(part > side for sides in (chunk, shard) for part, side in zip(sides, shape, strict=False))
            or total > limits.MAX_ORBAX_CHUNKS
        ):
            found = json.dumps({"shape": array.shape, "type": array.dtype.name, "chunk": chunk, "shard": shard})
            raise InputError(
                f"{folder}: expected {name} as float32 {shape} in chunks that are no larger, "
                f"{limits.MAX_ORBAX_CHUNKS} of all arrays at most, found {found}"
            )
