"""What each part of the library loads, in a fresh process each."""

import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "torch", "librosa", "av", "cv2", "soxr"}


def loaded(code: str) -> set[str]:
    """Top-level modules that are loaded after `code`."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import vasal_jax", HEAVY | {"jax", "flax", "numpy"}),
        ("import vasal_jax; vasal_jax.load", HEAVY | {"tyro"}),
        ("import vasal_jax.models", HEAVY | {"tyro", "safetensors"}),
        ("import vasal_jax.inputs.video", {"jax", "flax", "tensorflow", "torch", "librosa"}),
        ("import vasal_jax.inputs.clips, vasal_jax.system.background", {"jax", "flax", "tensorflow", "torch"}),
        (
            "from vasal_jax.inputs.faces import detection, tracking",
            {"jax", "flax", "tensorflow", "mtcnn"},
        ),
        ("import data.datasets, data.synthetic, data.preview", {"jax", "flax", "tensorflow", "torch"}),
        ("import data.pipeline, data.builder", {"flax", "torch"}),  # TensorFlow itself loads JAX
        (
            "import vasal_jax.outputs.explanation, vasal_jax.outputs.prediction_files",
            {"jax", "flax", "tensorflow", "torch"},
        ),
        ("import benchmarks.released_way", {"jax", "flax", "tensorflow"}),
        ("import vasal_jax.commands", HEAVY | {"jax", "flax"}),
        ("import vasal_jax.commands.main", HEAVY | {"jax", "flax"}),
        ("import vasal_jax.prediction, vasal_jax.commands.predict", {"tensorflow", "torch"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_loaded(code, absent):
    assert not loaded(code) & absent


def test_models_need_only_the_core():
    """Where only jax, flax and numpy are installed, the model can be built."""
    blocked = sorted(HEAVY | {"tyro", "safetensors"})
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "from flax import nnx; from vasal_jax.models import ModelConfig, VASal\n"
        "nnx.eval_shape(lambda: VASal(ModelConfig.tiny(), rngs=nnx.Rngs(0)))"
    )
    assert "vasal_jax" in loaded(code)


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["convert", "none", "none.safetensors"], {"predict", "demo"}),
        (["predict", "none.mp4"], {"convert", "demo"}),
    ],
)
def test_a_command_loads_no_other(words, absent):
    code = (
        f"import sys; sys.argv = {['vasal', *words]}\n"
        "from vasal_jax.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*[name.removeprefix('vasal_jax.commands.') for name in sys.modules if name.startswith('vasal_jax.c')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert words[0] in done.stdout.split()
    assert not set(done.stdout.split()) & absent


@pytest.mark.parametrize("package", ["evaluation", "metrics"])
def test_every_exported_name_is_there(package):
    """Names are looked up when they are used, so a wrong one would pass until then."""
    code = f"import vasal_jax.{package} as package; [getattr(package, name) for name in package.__all__]"
    assert "vasal_jax" in loaded(code)
