"""The README and the documentation do what they say: every page runs from its top to its end.

A page is read in a folder that looks like a checkout, with a drawn `video.mp4`, its `tracks.npy` and the packaged
weights as `weights.safetensors`. A block with a title (such as "Needs the MVVA release") is not run; our command lines
must accept its commands all the same.
"""

import argparse
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

import pytest
import tyro
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from vasal_jax.commands.demo import draw_scene
from vasal_jax.scenes import Scene

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENTRIES = {  # programs whose words are not parsed by the `main` of the module of their name
    "vasal": ("vasal_jax.commands.main", "main"),
    "predict": ("vasal_jax.commands.main", "predict_main"),
    "convert_weights": ("vasal_jax.commands.main", "convert_main"),
    "benchmarks": ("benchmarks.__main__", "main"),
}
PROGRAM = re.compile(r"(vasal)\b|python ([\w/]+)\.py\b|python -m ((?:benchmarks|data|scripts)[\w.]*)")
RUN_BY_CI = ("pip install", "python -m pytest")  # .ci/run runs the two of README.md, in an environment of its own
FENCE = RawFencedCodeBlockLexer(re.compile(r"(?P<language>\w*)(?P<title>[^\n]*)$\n", re.MULTILINE))


def _run(example: Example) -> None:
    script = "\n".join(line for line in example.parsed.splitlines() if not line.startswith(RUN_BY_CI))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"line {example.line}: {example.parsed}{done.stdout}{done.stderr}"


# A block with a title is of neither kind.
RUNNER = Sybil(parsers=[PythonCodeBlockParser(), CodeBlockParser("bash", _run)])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A folder with a drawn video, its tracks and `bin/vasal`, which runs this checkout."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_scene(Scene.make(5, seconds=0.8), folder / "video.mp4", folder / "tracks.npy")
    vasal = folder / "bin" / "vasal"
    vasal.parent.mkdir()
    vasal.write_text(f"#!{sys.executable}\nfrom vasal_jax.commands.main import main\nmain()\n")
    vasal.chmod(0o755)
    return folder


@pytest.fixture
def checkout(drawn, tmp_path, monkeypatch) -> Path:
    for path in (*ROOT.iterdir(), *drawn.iterdir()):
        if not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "weights.safetensors").symlink_to(ROOT / "vasal_jax/assets/tiny.safetensors")
    monkeypatch.setenv("PATH", f"{drawn / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_runs_from_top_to_end(page, checkout):
    for example in RUNNER.parse(page).examples():
        example.evaluate()


class _Accepted(BaseException):
    """Raised in place of what a command would do."""


def _accepting(parse: Callable) -> Callable:
    """A parser of command lines that ends the program once it has accepted one."""

    @wraps(parse)
    def accepting(*args, **options):
        parse(*args, **options)
        raise _Accepted

    return accepting


def _accepting_subcommands(parse: Callable) -> Callable:
    """The same for the parser that runs what it has parsed."""

    def accepted(command: Callable) -> Callable:
        @wraps(command)
        def stop(*args, **options):
            raise _Accepted

        return stop

    return lambda commands, **options: parse({name: accepted(run) for name, run in commands.items()}, **options)


def _commands(source: str) -> Iterator[list[str]]:
    """The words of each command of a shell block."""
    for line in source.replace("\\\n", " ").splitlines():
        words = [[]]
        for word in shlex.split(line, comments=True):
            words.append([]) if word == "&&" else words[-1].append(word)
        yield from filter(None, words)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_command_lines_accept_what_a_page_says(page, monkeypatch, capsys):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(tyro, "cli", _accepting(tyro.cli))
    for name, change in (
        ("overridable_config_cli", _accepting),
        ("subcommand_cli_from_dict", _accepting_subcommands),
    ):
        monkeypatch.setattr(tyro.extras, name, change(getattr(tyro.extras, name)))
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", _accepting(argparse.ArgumentParser.parse_args))
    for fence in (region.lexemes for region in FENCE(Document(page.read_text(), str(page)))):
        assert not fence["title"] or re.fullmatch(r' title="[^"]+"', fence["title"]), fence["title"]
        assert not (fence["title"] and fence["language"] == "python"), "every Python block is run"
        for words in _commands(fence["source"]) if fence["language"] == "bash" else ():
            command = " ".join(words)
            program = PROGRAM.match(command)
            if program is None:
                assert fence["title"] or command.startswith(RUN_BY_CI), f"{command}: none of our programs, and no title"
                continue
            monkeypatch.setattr(sys, "argv", words[len(program[0].split()) - 1 :])
            name = next(filter(None, program.groups())).replace("/", ".")
            module, function = ENTRIES.get(name, (name, "main"))
            try:
                getattr(importlib.import_module(module), function)()
            except _Accepted:
                continue
            except SystemExit:
                pass
            pytest.fail(f"{command}: not accepted: {capsys.readouterr().err}")


def test_extras_that_the_pages_install_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for page in PAGES for name in re.findall(r"pip install[^\n]*?\[([\w,]+)\]", page.read_text())}
    assert {"cuda", "all"} <= named
    assert {part for name in named for part in name.split(",")} <= set(extras)


def test_readme_is_short_and_shows_a_picture_at_once():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 125
    assert any("(docs/images/explained.webp)" in line for line in lines[:10])
    assert (ROOT / "docs/images/explained.webp").stat().st_size < 1_500_000


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_and_pictures(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            assert re.fullmatch(r"https://[\w.-]+\.[a-z]+/[^\s]*", link), link
        elif not link.startswith("../../actions/"):  # of the repository's page, wherever it is hosted
            target, _, anchor = link.partition("#")
            path = page.parent / target if target else page
            assert path.is_file(), link
            assert not anchor or anchor in _anchors(path), link


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_and_names_that_a_page_mentions_exist(page):
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    for path in filter(re.compile(r"[\w/]+/[\w.]+\.(?:py|md|toml|npz|j2)").fullmatch, spans):
        assert (ROOT / path).exists() or (ROOT / "vasal_jax" / path).exists(), path
    for name in filter(re.compile(r"(?:vasal_jax|data|configs)(?:\.\w+)+").fullmatch, spans):
        assert _exists(name), name


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or what a module has, fields of a class included."""
    module, attributes = name, []
    while not _is_module(module):
        module, _, attribute = module.rpartition(".")
        attributes.insert(0, attribute)
    thing = importlib.import_module(module)
    for attribute in attributes:
        if not hasattr(thing, attribute) and attribute not in getattr(thing, "__annotations__", ()):
            return False
        thing = getattr(thing, attribute, None)
    return True


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_pictures_are_small():
    for path in (ROOT / "docs/images").iterdir():
        assert path.stat().st_size < (1_500_000 if path.stem == "explained" else 200_000), path
