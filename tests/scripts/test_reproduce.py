"""From a dataset's folder to a page, in one command that goes on where it stopped."""

import json
from pathlib import Path

import pytest

from data.synthetic import SyntheticArgs, generate
from scripts import reproduce as script
from scripts.reproduce import ReproduceArgs, preset_of, reproduce, steps
from vasal_jax.errors import InputError
from vasal_jax.size import Size

# The graph of the tiny model, as narrow as it goes.
NARROW = (
    "--model.texture 1 1 1 1 1 1 --model.motion 1 1 1 1 --model.combine 1 1 1 --model.lstm 1 1 --model.audio 1 1 1 1"
)
TRAIN = (
    f"{NARROW} --model.fusion 1 --model.face 2 2 2 3 3 --model.face-audio 2 --clips.length 2 --updates 2 "
    "--optimizer.warmup 1 --loop.validate-every 2 --loop.overlays 0"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eight videos of ten frames, two of them to test on."""
    path = tmp_path_factory.mktemp("faces")
    generate(SyntheticArgs(path, videos=8, seconds=1.0, seed=4, size=Size(72, 128), fps=(10,), workers=1))
    return path


@pytest.fixture
def processes(monkeypatch):
    """The steps that are run; in place of each a file appears where its result belongs."""
    ran, failing = [], []

    def run_all(commands, logs, root, at_once):
        (name,) = commands
        if name in failing:
            raise InputError("killed")
        ran.append(name)
        words = commands[name]
        for flag in ("--export", "--out"):
            if flag in words:
                Path(words[words.index(flag) + 1]).write_text("{}")
        if name == "prepare":
            Path(words[3]).mkdir(exist_ok=True)

    monkeypatch.setattr(script, "finished_side_by_side", run_all)
    monkeypatch.setattr(script, "page_of", lambda *_: "page")
    return ran, failing


def test_what_is_done_is_not_done_again(folder, tmp_path, processes):
    ran, failing = processes
    args = ReproduceArgs(folder, tmp_path, retrain=("sound",))
    failing.append("evaluate")
    with pytest.raises(InputError, match="killed"):
        reproduce(args)
    assert ran == ["prepare", "train"]
    failing.clear()
    assert reproduce(args) == 0
    assert ran == ["prepare", "train", "evaluate", "train_without_sound", "evaluate_without_sound"]
    ran.clear()
    assert reproduce(args) == 0
    assert ran == []
    (tmp_path / "weights.safetensors").unlink()  # what is lost is made again
    assert reproduce(args) == 0
    assert ran == ["train"]
    ran.clear()
    other = ReproduceArgs(folder, tmp_path, retrain=("sound",), train="--updates 7")
    assert reproduce(other) == 0  # and what depends on it
    assert ran == ["train", "evaluate", "train_without_sound", "evaluate_without_sound"]


def test_a_split_that_lacks_a_part_is_refused_before_anything_is_done(folder, tmp_path, processes):
    with pytest.raises(InputError, match="validation"):
        reproduce(ReproduceArgs(folder, tmp_path, split_rule="test=231"))
    assert processes[0] == []


def test_the_preset_suits_the_dataset(tmp_path):
    args = ReproduceArgs(tmp_path, tmp_path)
    assert preset_of(args, "mvva", True) == "mvva_full"
    assert preset_of(args, "DIEM", False) == "mvva"
    assert preset_of(args, "synthetic (seed 4, 1 s, 128x72, version 2)", True) == "synthetic_tiny"
    assert preset_of(ReproduceArgs(tmp_path, tmp_path, preset="synthetic"), "mvva", True) == "synthetic"


def test_a_preset_that_there_is_not_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        script.main([str(tmp_path), str(tmp_path), "--preset", "best"])
    assert ended.value.code == 2
    assert "expected one of synthetic_tiny" in " ".join(capsys.readouterr().err.split())


def test_every_command_is_one_that_a_person_could_type(tmp_path):
    """The command lines take them."""
    rule = "test=281-343 validation=220-280"
    args = ReproduceArgs(tmp_path, tmp_path / "out", split_rule=rule, retrain=("faces",), train="--updates 5")
    commands = {step.name: list(step.command) for step in steps(args, "mvva_full")}
    assert list(commands) == ["prepare", "train", "evaluate", "train_without_faces", "evaluate_without_faces"]
    assert commands["train_without_faces"][-4:] == ["--without", "faces", "--updates", "5"]
    assert "--drop-faces" in commands["evaluate_without_faces"]
    assert "--mute" not in commands["evaluate_without_faces"]
    assert commands["prepare"][-2:] == ["--split", rule]


@pytest.mark.slow
def test_a_drawn_dataset_becomes_a_page(folder, tmp_path, capfd):
    """With the real commands, and a model as narrow as it goes: some three minutes."""
    args = ReproduceArgs(
        folder, tmp_path, train=TRAIN, evaluate="--resolution 64x36 --negatives 64", retrain=("sound",)
    )
    assert reproduce(args) == 0
    page = (tmp_path / "index.md").read_text()
    for said in (
        "# synthetic (seed 4, 1 s, 128x72, version 2)", "| train |", "| weights, no faces ",
        "### Trained without sound", "### Taken from the trained model: muted", "train_without_sound:", "95% interval",
    ):  # fmt: skip
        assert said in page, said
    assert (tmp_path / "report" / "index.html").exists()
    assert json.loads((tmp_path / "results.json").read_text())["settings"]["dataset"].startswith("synthetic")
    capfd.readouterr()
    assert reproduce(args) == 0
    assert capfd.readouterr().out.count("done before") == 5
