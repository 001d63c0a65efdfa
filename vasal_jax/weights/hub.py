"""Weights by name from a hub: `hf://ORGANISATION/NAME`, or with `@REVISION`, by huggingface_hub.

A repository has `weights.safetensors`, with config and memory inside as everywhere, and the card `README.md`. The
network is used for such a name alone. What was downloaded once is found again without it.
"""

import io
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vasal_jax import __version__
from vasal_jax.config import ModelConfig
from vasal_jax.errors import InputError
from vasal_jax.inputs import limits
from vasal_jax.models.vasal import VASal
from vasal_jax.weights.parameters import to_safetensors

if TYPE_CHECKING:
    import huggingface_hub

Result = TypeVar("Result")

FILE = "weights.safetensors"
CARD = "README.md"
_NAME = re.compile(r"hf:/{1,2}([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w./-]+))?", re.ASCII)  # a `Path` has one slash
_SECONDS = 4.0  # for the first answer; by itself the client tries again for 23


class Name(NamedTuple):
    """A repository, and a branch, tag or commit of it; None is the newest."""

    repository: str
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Reads `hf://org/name` or `hf://org/name@revision`. Raises `InputError` for anything else."""
        found = _NAME.fullmatch(text)
        if not found:
            raise InputError(f"{text}: expected hf://ORGANISATION/NAME or hf://ORGANISATION/NAME@REVISION")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"hf://{self.repository}" + ("" if self.revision is None else f"@{self.revision}")


def download(text: str) -> Path:
    """The weights file of a name, in the hub's cache; downloaded where it is not there yet.

    Raises:
      InputError: no such name, no network and nothing in the cache, or no weights of ours in the repository; or
        huggingface_hub is not installed.
    """
    name = Name.parse(text)
    try:
        commit, size = _look_up(name)
    except _Unreachable as error:
        return _cached(name, str(error))
    most = 4 * limits.MAX_PARAMETERS + limits.MAX_WEIGHTS_HEADER_BYTES + 8
    if size is None or size > most:
        raise InputError(f"{name}: expected {FILE} of at most {most} bytes, found {'none' if size is None else size}")
    try:
        return Path(_api().hf_hub_download(name.repository, FILE, revision=commit))
    except Exception as error:  # of the client, of what it downloads with, or of the disk
        raise InputError(f"{name}: the download failed ({_said(error)}); the same call goes on from there") from None


def push(repository: str, model: VASal, *, card: str = "", private: bool = False) -> str:
    """Writes a model to a hub, as one commit with its weights and its card; the repository is made where there is none.

    Args:
      repository: "organisation/name". The token is that of `hf auth login` or of the environment variable HF_TOKEN.
      model: to be written.
      card: what people should know, in Markdown: on which data the weights were trained, to which scores, under which
        licence. Where it begins with `---` it has its own front matter; else one is put before it.
      private: whether a repository that is made is seen by its owner alone.

    Returns:
      The name that gives these very weights for ever, `hf://organisation/name@COMMIT`.

    Raises:
      InputError: no such name, no network, the hub refused, or huggingface_hub is not installed.
    """
    name, operation = Name.parse(f"hf://{repository}"), _client().CommitOperationAdd
    text = card if card.startswith("---") else _front_matter() + _about(name, model.config, model) + card
    content = to_safetensors(model)
    files = [
        operation(FILE, io.BytesIO(content)),
        operation(CARD, text.rstrip().encode() + b"\n"),
    ]
    api = _api()
    try:
        _within(lambda: api.create_repo(name.repository, private=private, exist_ok=True))
        done = api.create_commit(name.repository, files, commit_message="Write weights with vasal-jax")
    except _Unreachable as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:
        raise InputError(f"{name}: {_endpoint()} did not take the weights ({_said(error)})") from None
    return str(Name(name.repository, done.oid))


class _Unreachable(Exception):
    """There was no answer in time."""


def _client() -> Any:
    """The package huggingface_hub."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors  # the package itself loads it at the first use of something else
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise InputError(f"{package} is not installed; hf:// names need pip install 'vasal-jax[hub]'") from None
    return huggingface_hub


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _client().constants.ENDPOINT


def _api() -> "huggingface_hub.HfApi":
    return _client().HfApi(_endpoint(), library_name="vasal-jax", library_version=__version__)


def _look_up(name: Name) -> tuple[str, int | None]:
    """The commit of a name, and the size of its weights; None without any."""

    def ask() -> Any:
        return _api().model_info(name.repository, revision=name.revision, files_metadata=True, timeout=_SECONDS)

    errors = _client().errors
    try:
        found = _within(ask)
    except errors.RevisionNotFoundError:
        raise InputError(f"{name}: {_endpoint()} has no such revision of it") from None
    except errors.RepositoryNotFoundError:
        raise InputError(f"{name}: {_endpoint()} has no such repository, or keeps it for its owners") from None
    size = next((entry.size for entry in found.siblings or () if entry.rfilename == FILE), None)
    return str(found.sha), size


def _cached(name: Name, reason: str) -> Path:
    """The weights as they were when last downloaded, without the network."""
    path = _client().try_to_load_from_cache(name.repository, FILE, revision=name.revision)
    if not isinstance(path, str):
        raise InputError(f"{name}: {reason}, and it was not downloaded before; connect, or give a file in its place")
    return Path(path)


def _within(ask: Callable[[], Result]) -> Result:
    """What `ask` returns or raises; `_Unreachable` where there is no answer in time."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((ask(), None))
        except Exception as error:  # is raised below
            outcome.append((None, error))

    # Looking up a host's name knows no time limit, so it is left behind in a thread that ends with the program.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    where = f"{_endpoint()} cannot be reached"
    if not outcome:
        raise _Unreachable(f"{where} (no answer in {_SECONDS:g} seconds)")
    result, error = outcome[0]
    if error is None:
        return result
    errors = _client().errors
    if isinstance(error, errors.OfflineModeIsEnabled):
        raise _Unreachable(f"{where} (HF_HUB_OFFLINE is set)")
    if not isinstance(error, errors.HfHubHTTPError) or error.response.status_code >= 500:
        raise _Unreachable(f"{where} ({_said(error)})")
    raise error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _front_matter() -> str:
    fields = {
        "library_name": "vasal-jax",
        "pipeline_tag": "video-classification",
        "tags": ["saliency", "eye-tracking", "visual-attention", "audio-visual", "jax", "flax"],
    }
    return "---\n" + "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items()) + "---\n\n"


def _about(name: Name, config: ModelConfig, model: VASal) -> str:
    return f"""# {name.repository}

Where people look in videos of several faces: weights for vasal-jax {__version__}.

```python
import vasal_jax

model = vasal_jax.load("{Name(name.repository, None)}")
maps = vasal_jax.predict(model, "video.mp4")  # float32 (n,32,32), each summing to 1
```

Config: `{config.to_json()}`. Memory in training: {model.memory or "not known"}.

"""
