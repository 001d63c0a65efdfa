"""The cache of compiled programs: where it is, whom it trusts, and that a second program uses it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import jax, numpy as np
from vasal_jax.system.compilation_cache import use_compilation_cache
print(use_compilation_cache())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event.endswith("cache_hits")))
jax.jit(lambda x: np.float32(3) * x + 1)(np.ones(7, np.float32)).block_until_ready()
print(any(hits))
"""


def run(**variables: str) -> list[str]:
    unset = ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")
    usual = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=usual | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_second_program_finds_what_the_first_compiled(tmp_path):
    first, second = (run(XDG_CACHE_HOME=str(tmp_path)) for _ in range(2))
    assert Path(first[0]).is_relative_to(tmp_path / "vasal-jax")
    assert Path(first[0]).stat().st_mode & 0o077 == 0
    assert (first[1], second[1]) == ("False", "True")
    assert second[0] == first[0]


@pytest.mark.parametrize(("said", "least"), [({}, 0.2), ({"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "5"}, 5)])
def test_small_programs_are_kept_too_unless_jax_is_told_otherwise(tmp_path, said, least):
    program = [*PROGRAM.splitlines()[1:4], "print(jax.config.jax_persistent_cache_min_compile_time_secs)"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | said
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], env=environment, capture_output=True, text=True)
    assert float(done.stdout.split()[-1]) == least


def test_without_a_variable_it_is_in_the_home(tmp_path):
    assert Path(run(HOME=str(tmp_path))[0]).is_relative_to(tmp_path / ".cache" / "vasal-jax")


def test_a_folder_chosen_in_jax_own_way_stays(tmp_path):
    chosen, other = tmp_path / "chosen", tmp_path / "other"
    assert run(JAX_COMPILATION_CACHE_DIR=str(chosen), XDG_CACHE_HOME=str(other))[0] == str(chosen)
    assert chosen.stat().st_mode & 0o777 == 0o700
    assert not other.exists()


@pytest.mark.parametrize("how", ["others may write", "another's", "others may replace it"])
def test_a_chosen_folder_that_others_could_change_is_not_used(tmp_path, how):
    chosen = tmp_path / "open" / "chosen"
    chosen.mkdir(parents=True, mode=0o700)
    if how == "others may write":
        chosen.chmod(0o722)
    elif how == "another's":
        if os.getuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(chosen, 12345, 12345)
    else:
        chosen.parent.chmod(0o777)
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(chosen)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["None", "False"]
    assert found.stderr.count(f"{chosen}: not used for compiled programs") == 1
    assert list(chosen.iterdir()) == []


@pytest.mark.parametrize("how", ["others may write", "link", "file", "no home"])
def test_what_others_could_change_is_not_used(tmp_path, how):
    folder = tmp_path / "vasal-jax"
    if how == "others may write":
        folder.mkdir()
        folder.chmod(0o777)
    elif how == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif how == "file":
        folder.touch()
    cache = "/proc/nowhere" if how == "no home" else str(tmp_path)
    assert run(XDG_CACHE_HOME=cache) == ["None", "False"]
