"""What others publish, fetched by name: `vasal fetch NAME`."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal
from urllib.parse import urlsplit

import pooch
import requests
from tyro.conf import Positional, arg

from vasal_jax.errors import InputError
from vasal_jax.system.files import naming_file_errors, replacing
from vasal_jax.system.terminal import progress_bar

_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
_PIECE = 2**16  # bytes; of a broken download all whole ones are kept


@dataclasses.dataclass(frozen=True)
class Item:
    """Something that others publish: a file with a link of its own, or a page on which a person gets it."""

    url: str
    what: str
    file: str | None = None  # its name here; None for a page
    sha256: str | None = None  # where it is known


CATALOGUE = {
    "weights": Item(
        "https://www.dropbox.com/s/j8lu47a5r2upd0a/17_i_video_120_host_207_station_0905_visual_audio_face_modal_"
        "cc_0.690_kl_0.8210.pkl?dl=1",
        "the authors' weights, a PyTorch checkpoint for convert_weights.py",
        "released.pkl",
    ),
    "face-maps": Item(
        "https://www.dropbox.com/s/p2z5e7pwlvfwcbd/resized_gmm.zip?dl=1",
        "the authors' face maps of MVVA",
        "resized_gmm.zip",
    ),
    "mvva": Item("https://github.com/MinglangQiao/MVVA-Database", "the MVVA database; its authors are asked for it"),
    "released-code": Item("https://github.com/MinglangQiao/visual_audio_saliency", "the authors' PyTorch demo"),
    "aim-2024": Item(
        "https://challenges.videoprocessing.ai/challenges/video-saliency-prediction-participate.html",
        "the AIM 2024 challenge: 1,500 videos with mouse-tracked attention, CC-BY; unpack its archives into one folder",
    ),
    "ntire-2026": Item(
        "https://github.com/msu-video-group/NTIRE26_Saliency_Prediction",
        "the NTIRE 2026 challenge: 2,000 videos of the same kind",
    ),
}


@dataclasses.dataclass(frozen=True)
class FetchArgs:
    """Fetch what others publish, by the name that is given."""

    name: Positional[Literal["weights", "face-maps", "mvva", "released-code", "aim-2024", "ntire-2026"]]
    """What to fetch. Of a dataset that is only had through its page, the page's address is printed."""
    out: Annotated[Path, arg(metavar="DIR")] = Path()
    """The folder to write to."""


def fetch(args: FetchArgs) -> int:
    """Runs the command; returns its exit code. Raises `InputError`."""
    item = CATALOGUE[args.name]
    if item.file is None:
        print(f"{args.name}: {item.what}\n{item.url}")
        return 0
    path = download(item, args.out)
    print(f"{path}: {item.what}\nsha256 {_sha256(path)}")
    return 0


def download(item: Item, folder: Path) -> Path:
    """Fetches a file, or finds it fetched already; an interrupted download goes on where it was.

    The file's hash is compared with the recorded one; where none is known it is kept beside the file, in `FILE.sha256`,
    and compared from then on.

    Raises:
      InputError: no network, another answer than a file, another hash, or the file system refused.
    """
    path, kept = folder / str(item.file), folder / f"{item.file}.sha256"
    with naming_file_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = item.sha256 or _read_hash(kept)
    if path.exists():
        _check_hash(path, _sha256(path), known, f"remove {path} to fetch it again")
    else:
        with naming_file_errors(path):
            # Pooch puts the file in place when it is whole; the hash is checked here, for a message of our own.
            _retrieve(item, path)
        try:
            _check_hash(path, _sha256(path), known, f"remove {kept} to take the new file")
        except InputError:
            path.unlink()
            raise
    with replacing(kept) as temporary:
        temporary.write_text(f"{_sha256(path)}  {path.name}\n")
    return path


def _retrieve(item: Item, path: Path) -> None:
    reach = f"check the network, or fetch {item.url} with a browser and put it at {path}"
    pooch.get_logger().setLevel("ERROR")  # a progress bar says what happens
    download: Any = _ResumingDownloader(path)  # Pooch's type names its arguments otherwise
    try:
        pooch.retrieve(item.url, known_hash=None, fname=path.name, path=path.parent, downloader=download)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise InputError(f"{_host(item)}: cannot be reached ({_cause(error)}); {reach}") from None
    except requests.RequestException as error:
        raise InputError(f"{_host(item)}: the download failed ({_cause(error)}); {reach}") from None


class _ResumingDownloader:
    """What Pooch calls to download: pieces go to `FILE.part`, from which an interrupted download goes on."""

    def __init__(self, path: Path):
        self._part = path.with_name(f"{path.name}.part")
        self._version = path.with_name(f"{path.name}.part.version")  # what the server calls this version of the file

    def __call__(self, url: str, output_file: str, _: object) -> None:
        with _locked(self._part) as part:
            begun = part.seek(0, os.SEEK_END)
            version = self._version.read_text() if begun and self._version.exists() else ""
            headers = {"Range": f"bytes={begun}-", "If-Range": version} if version else {}
            headers["Accept-Encoding"] = "identity"
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
                self._take(answer, part, begun)
        os.replace(self._part, output_file)
        self._version.unlink(missing_ok=True)

    def _take(self, answer: requests.Response, part: BinaryIO, begun: int) -> None:
        answer.raise_for_status()
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise InputError(f"{answer.url}: expected a file, found a web page; open it with a browser")
        if answer.status_code != requests.codes.partial_content:
            begun = 0  # another version, or a server that knows no ranges
            part.truncate(0)
            self._version.write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        part.seek(begun)
        length = answer.headers.get("Content-Length")
        total = None if length is None else begun + int(length)
        with progress_bar() as bar:
            task = bar.add_task("fetching MB", total=total and total // 10**6, completed=begun // 10**6)
            for piece in answer.iter_content(_PIECE):
                part.write(piece)
                bar.advance(task, len(piece) / 1e6)
        if total is not None and part.tell() != total:
            raise requests.ConnectionError(f"{part.tell()} of {total} bytes came; the same command goes on from there")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing, never through a link, and for one process at a time."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path}: another process fetches into it; wait for that one") from None
        yield file


def _read_hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            word = file.read(65)[:64].decode("ascii", "replace")
    except FileNotFoundError:
        return None
    if not re.fullmatch("[0-9a-f]{64}", word):
        raise InputError(f"{path}: expected a sha256, found something else; remove it")
    return word


def _check_hash(path: Path, found: str, known: str | None, remedy: str) -> None:
    if known and found != known:
        raise InputError(f"{path}: expected sha256 {known}, found {found}; {remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _host(item: Item) -> str:
    return urlsplit(item.url).netloc


def _cause(error: requests.RequestException) -> str:
    """What went wrong, in a few words: the innermost reason, without addresses of objects."""
    reason = getattr(error.args[0] if error.args else error, "reason", error)
    return re.sub(r"<[^>]*>: ?", "", " ".join(str(reason).split()))[:200]
