"""Commands side by side, in processes of their own."""

import os

import pytest

from vasal_jax.errors import InputError
from vasal_jax.system.processes import core_shares, finished_side_by_side

MEETS_THE_OTHER = """
import os, pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
until = time.monotonic() + 30
while not other.exists() and time.monotonic() < until:
    time.sleep(0.05)
time.sleep(0.5)
print(other.exists(), *sorted(os.sched_getaffinity(0)))
"""


def test_commands_run_side_by_side_on_shares_of_the_cores(tmp_path):
    names = ["one", "other", "last"]
    files = [tmp_path / name for name in names]
    commands = {name: ["-c", MEETS_THE_OTHER, files[i], files[1 - i]] for i, name in enumerate(names[:2])}
    commands["last"] = ["-c", "print('last of all')"]
    finished_side_by_side(commands, tmp_path, tmp_path, at_once=2)
    assert (tmp_path / "last.log").read_text() == "last of all\n"
    met, cores = zip(*((tmp_path / f"{name}.log").read_text().split(" ", 1) for name in names[:2]), strict=True)
    assert met == ("True", "True")
    one, other = ({int(core) for core in words.split()} for words in cores)
    allowed = os.sched_getaffinity(0)
    assert one | other == allowed
    assert not one & other or len(allowed) == 1


def test_more_shares_than_cores_are_given_out_again():
    shares = core_shares(2 * len(os.sched_getaffinity(0)))
    assert {len(share) for share in shares} == {1}


SAYS_THAT_IT_WAS_STOPPED = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[2]).touch()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""


def test_where_one_of_them_fails_the_others_are_stopped(tmp_path):
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"
    wait = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)\nsys.exit('out of luck')"
    commands = {"long": ["-c", SAYS_THAT_IT_WAS_STOPPED, begun, stopped], "bad": ["-c", wait, begun]}
    with pytest.raises(InputError, match=r"ended with exit code 1 \(out of luck\)"):
        finished_side_by_side(commands | {"never": ["-c", "print('begun')"]}, tmp_path, tmp_path, at_once=2)
    assert stopped.exists()
    assert not (tmp_path / "never.log").exists()


def test_an_interrupt_stops_all_of_them(tmp_path):
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"

    def interrupt() -> None:
        if begun.exists():
            raise KeyboardInterrupt

    command = {"long": ["-c", SAYS_THAT_IT_WAS_STOPPED, begun, stopped]}
    with pytest.raises(KeyboardInterrupt):
        finished_side_by_side(command, tmp_path, tmp_path, at_once=1, meanwhile=interrupt)
    assert stopped.exists()
