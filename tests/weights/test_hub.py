"""Weights by name, from a stand-in of the hub on this machine."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

import vasal_jax
from tests.helpers import hub_server
from tests.helpers.models import narrow_model
from vasal_jax import InputError
from vasal_jax.config import Memory
from vasal_jax.weights import check_exists, hub
from vasal_jax.weights.parameters import arrays, to_safetensors

NAME = "hf://people/talking"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    with hub_server.running() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def away(server, monkeypatch) -> None:
    """Nobody answers where the hub was."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")


def same(model, other) -> bool:
    values, others = arrays(model), arrays(other)
    return all(np.array_equal(values[name], others[name]) for name in values | others)


def test_what_is_pushed_is_loaded(server):
    model = narrow_model()
    model.memory = Memory("reset", 12)
    pinned = vasal_jax.push("people/talking", model, card="Trained on drawn faces.\n")
    (commit,) = server.commits["people/talking"]
    assert pinned == f"{NAME}@{commit}"
    card = server.commits["people/talking"][commit]["README.md"].decode()
    assert card.startswith('---\nlibrary_name: "vasal-jax"\n')
    assert card.endswith("Trained on drawn faces.\n")
    assert f'vasal_jax.load("{NAME}")' in card
    for name in (NAME, pinned):
        loaded = vasal_jax.load(name)
        assert same(loaded, model)
        assert loaded.memory == model.memory


def test_a_program_that_did_nothing_before_loads_by_name(server, tmp_path):
    server.commit("people/talking", {hub.FILE: to_safetensors(narrow_model())})
    code = "import sys, vasal_jax; vasal_jax.load(sys.argv[1])"
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-c", code, NAME], check=True, env=environment)


def test_a_card_with_front_matter_of_its_own(server):
    vasal_jax.push("people/talking", narrow_model(), card="---\nlicense: mit\n---\n# Mine\n")
    (files,) = server.commits["people/talking"].values()
    assert files["README.md"] == b"---\nlicense: mit\n---\n# Mine\n"


def test_revisions(server):
    old, new = narrow_model(0.1), narrow_model(0.3)
    commit = server.commit("people/talking", {hub.FILE: to_safetensors(old)})
    server.tags["people/talking", "v1"] = commit
    server.commit("people/talking", {hub.FILE: to_safetensors(new)})
    assert same(vasal_jax.load(NAME), new)
    assert same(vasal_jax.load(f"{NAME}@v1"), old)
    assert same(vasal_jax.load(f"{NAME}@{commit}"), old)
    with pytest.raises(InputError, match=f"{NAME}@v2: .* has no such revision"):
        vasal_jax.load(f"{NAME}@v2")
    with pytest.raises(InputError, match="has no such repository"):
        vasal_jax.load("hf://people/nobody")


def test_without_a_network_what_was_loaded_before(server, monkeypatch):
    server.commit("people/talking", {hub.FILE: to_safetensors(narrow_model())})
    commit = server.find("people/talking", "main")
    vasal_jax.load(f"{NAME}@{commit}")
    asked = len(server.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(vasal_jax.load(f"{NAME}@{commit}"), narrow_model())
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set\), and it was not downloaded before"):
        vasal_jax.load("hf://people/others")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert len(server.asked) == asked
    away(server, monkeypatch)
    assert same(vasal_jax.load(f"{NAME}@{commit}"), narrow_model())


@pytest.mark.parametrize("how", ["refused", "silent", "broken"])
def test_no_network_is_said_within_five_seconds(server, monkeypatch, how):
    with socket.socket() as silent:
        if how == "refused":
            away(server, monkeypatch)
        elif how == "silent":
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
            monkeypatch.setattr(hub, "_SECONDS", 0.5)
        else:
            server.broken = 503
        begun = time.monotonic()
        with pytest.raises(InputError) as error:
            vasal_jax.load(NAME)
        assert time.monotonic() - begun < 5
        assert f"{NAME}: http://127.0.0.1" in str(error.value)
        assert "cannot be reached" in str(error.value)
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=r"cannot be reached|did not take the weights"):
            vasal_jax.push("people/talking", narrow_model())


def test_what_a_repository_may_not_hold(server, monkeypatch):
    server.commit("people/other", {"model.bin": b"x"})
    with pytest.raises(InputError, match=r"expected weights.safetensors of at most .* found none"):
        vasal_jax.load("hf://people/other")
    server.commit("people/junk", {hub.FILE: b"junk"})
    with pytest.raises(InputError, match=r"not a readable .safetensors file"):
        vasal_jax.load("hf://people/junk")
    monkeypatch.setattr(hub.limits, "MAX_PARAMETERS", 0)
    server.commit("people/large", {hub.FILE: bytes(2**21)})
    with pytest.raises(InputError, match=f"found {2**21}"):
        vasal_jax.load("hf://people/large")
    assert not [asked for asked in server.asked if "large/resolve" in asked]


@pytest.mark.parametrize("name", ["hf://", "hf://people", "hf://people/../x", "hf://a/b/c", "hf://a/b@", "hf:///a/b"])
def test_names_that_are_none(server, name):
    with pytest.raises(InputError, match="expected hf://ORGANISATION/NAME"):
        vasal_jax.load(name)
    assert not server.asked


def test_the_network_is_used_for_such_names_alone(tmp_path):
    """Nothing of the hub's client is loaded, so nothing can ask for anything."""
    vasal_jax.save(narrow_model(), tmp_path / "w.safetensors")
    code = "import sys, vasal_jax; vasal_jax.load(sys.argv[1]); assert 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, tmp_path / "w.safetensors"], check=True)
    check_exists(Path(NAME))


@pytest.mark.parametrize(
    "use",
    [
        lambda: vasal_jax.load(NAME),
        lambda: vasal_jax.load(f"{NAME}@v1"),
        lambda: vasal_jax.push("people/talking", narrow_model()),
    ],
    ids=["load", "load a revision", "push"],
)
def test_the_client_is_not_installed(monkeypatch, use):
    monkeypatch.setitem(sys.modules, huggingface_hub.__name__, None)
    with pytest.raises(InputError, match=r"huggingface_hub is not installed; .* pip install 'vasal-jax\[hub\]'"):
        use()


def test_a_command_without_the_client(tmp_path):
    """One line and exit code 2, in a process that never had the package."""
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        f"sys.argv = ['vasal', 'export', '{NAME}', 'p.jax']\n"
        "from vasal_jax.commands.main import main; main()"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(vasal_jax.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 2
    assert done.stderr == "error: huggingface_hub is not installed; hf:// names need pip install 'vasal-jax[hub]'\n"
