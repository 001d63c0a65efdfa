"""Refuses hostile PyTorch files before PyTorch reads them, by the sizes, instructions and names of their pickles.

`pytorch.read` calls `check`, then `torch.load` with `weights_only=True`.
"""

import os
import pickletools
import re
import zipfile
from pathlib import Path
from typing import IO, BinaryIO

from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.system.reading import open_regular

_LEGACY_PICKLES = 5  # magic number, protocol, system, content, names of the storages; their numbers follow

# What tensors and plain containers are made of. Anything else is refused, although PyTorch itself admits more, such as
# sparse, nested and meta tensors, and byte arrays of any length.
_NAMES = re.compile(
    r"collections OrderedDict|collections defaultdict|_codecs encode|torch (Size|device)"
    r"|torch\._utils (_rebuild_tensor(_v2)?|_rebuild_parameter)"
    r"|torch(\.cuda|\.storage)? \w*Storage|torch (float|bfloat|int|uint|double|half|long|short|bool)\w*"
    r"|torch\.nn\.parameter Parameter|torch\.serialization _get_layout"
)


def check(path: Path) -> None:
    """Checks a PyTorch file without running anything in it.

    Raises:
      InputError: the file is larger than `limits` allow, is damaged, or names code or objects other than those that
        tensors and plain containers are made of.
    """
    with open_regular(path, "a PyTorch file", limits.MAX_PYTORCH_BYTES) as file:
        try:
            if zipfile.is_zipfile(file):
                _check_archive(file, path)
            else:
                file.seek(0)
                _check_legacy(file, path)
        except (InputError, MemoryError):
            raise
        # Other damage ends in nearly any exception.
        except Exception:
            raise InputError(_refused(path, "something else, or a damaged or cut file")) from None


def _check_archive(file: BinaryIO, path: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise InputError(_refused(path, "a packed archive, as PyTorch never writes"))
        if sum(member.file_size for member in members) > size:
            raise InputError(_refused(path, "members that are larger than the file"))
        pickles = [member for member in members if member.filename.endswith(".pkl")]
        for member in pickles:
            with archive.open(member) as content:
                _check_pickle(content, path)


def _check_legacy(file: BinaryIO, path: Path) -> None:
    for _ in range(_LEGACY_PICKLES):
        _check_pickle(file, path)


def _check_pickle(file: IO[bytes], path: Path) -> None:
    texts: list[object] = []  # the last two, which STACK_GLOBAL takes as module and name
    for step, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        if step > limits.MAX_PYTORCH_STEPS:
            raise InputError(_refused(path, f"a pickle of more than {limits.MAX_PYTORCH_STEPS} instructions"))
        if instruction.name in ("GLOBAL", "STACK_GLOBAL"):
            name = str(argument) if instruction.name == "GLOBAL" else " ".join(map(str, texts[-2:]))
            if not _NAMES.fullmatch(name):
                raise InputError(_refused(path, f"code or objects ({'.'.join(name.split(' '))[:200]})"))
        if isinstance(argument, str) and instruction.name != "GLOBAL":
            texts = [*texts[-1:], argument]


def _refused(path: Path, found: str) -> str:
    return f"{path}: refused: expected a PyTorch file of tensors alone, found {found}; nothing of it was run"
