"""Weights from one form to another, with a proof of parity: what `convert_weights.py` runs."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from flax import nnx
from rich import box
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from vasal_jax import weights
from vasal_jax.config import PRESETS
from vasal_jax.errors import InputError
from vasal_jax.models.vasal import VASal
from vasal_jax.system.terminal import Flag, OptionalFile, say
from vasal_jax.weights.parameters import arrays, build

Form = Literal["safetensors", "orbax", "pytorch"]


@dataclasses.dataclass(frozen=True)
class ConvertArgs:
    """Convert weights between PyTorch checkpoints and .safetensors files or Orbax folders, bit for bit."""

    paths: Positional[Annotated[tuple[Path, ...], arg(metavar="IN OUT", help_behavior_hint="")]]
    """The weights to read and where to write them. With --verify alone, OUT may be left out; with --vgg16, IN is."""
    to: Annotated[Form | None, arg(metavar="safetensors|orbax|pytorch", help_behavior_hint="")] = None
    """Form of OUT. By default told from its name: .safetensors; .pt, .pth or .pkl; anything else is an Orbax folder."""
    preset: Literal["released", "tiny"] = "released"
    """Sizes of the model in a PyTorch file, or of the one that --vgg16 starts."""
    verify: Flag = False
    """Run the PyTorch reference beside the converted model, print the differences, write only if all stages pass."""
    vgg16: OptionalFile = None
    """A torchvision VGG-16 state dict: start a model from its layers, the rest freshly drawn."""
    seed: int = 0
    """Of the drawn parameters (--vgg16) and of the inputs (--verify)."""


def convert(args: ConvertArgs) -> int:
    """Runs the command; returns its exit code, 1 where --verify found a difference. Raises `InputError`."""
    source, out = _names(args)
    form = None if out is None else _form(out, args.to)
    model = _from_vgg16(args, args.vgg16) if args.vgg16 else weights.load(source, config=PRESETS[args.preset]())
    if args.verify and not _verified(model, args, source):
        return 1
    if out is None:
        return 0
    if form == "pytorch":
        from vasal_jax.weights import pytorch

        pytorch.write(arrays(model), out)
    else:
        weights.save(model, out)
    count = sum(value.size for value in arrays(model).values())
    say(f"wrote {out} ({form}, {count:,} parameters)")
    return 0


def _names(args: ConvertArgs) -> tuple[Path, Path | None]:
    """What the weights are made of, the VGG-16 with --vgg16, and where to write them."""
    wanted = 1 if args.vgg16 else 2
    if len(args.paths) == 1 and args.verify and not args.vgg16:
        return args.paths[0], None
    if len(args.paths) != wanted:
        names = "OUT" if args.vgg16 else "IN and OUT (or IN with --verify)"
        raise InputError(f"expected {names}, found {len(args.paths)} paths; see --help")
    *source, out = args.paths
    return args.vgg16 or source[0], out


def _form(out: Path, to: Form | None) -> Form:
    """The form to write, the same that reading will tell from the name."""
    suffix = out.suffix.lower()
    named = "safetensors" if suffix == ".safetensors" else "pytorch" if suffix in weights.PYTORCH_SUFFIXES else "orbax"
    if to not in (None, named):
        suffixes = {"safetensors": ".safetensors", "pytorch": ".pt", "orbax": "no suffix (a folder)"}
        raise InputError(f"{out}: --to {to} writes a name with {suffixes[to]}, found {suffix or 'none'}; rename OUT")
    return named


def _from_vgg16(args: ConvertArgs, vgg16: Path) -> VASal:
    from vasal_jax.weights import pytorch

    config = PRESETS[args.preset]()
    drawn = arrays(VASal(config, rngs=nnx.Rngs(args.seed)))
    return build(config, drawn | pytorch.vgg16_texture(vgg16, config), vgg16)


def _verified(model: VASal, args: ConvertArgs, source: Path) -> bool:
    from vasal_jax.weights import pytorch, pytorch_parity

    own = not args.vgg16 and weights.is_pytorch(source)  # entries, untouched by our conversion
    state = pytorch.read(source) if own else pytorch.to_pytorch(arrays(model))
    stages = pytorch_parity.compare(model, state, args.seed)
    title = f"Parity with the PyTorch reference (limit {pytorch_parity.TOLERANCE:g} relative)"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("stage", "shape", "magnitude", "abs. diff", "rel. diff", ""):
        table.add_column(name, justify="left" if name in ("stage", "shape", "") else "right", no_wrap=True)
    for s in stages:
        verdict = "[green]pass" if s.passed else "[red]fail"
        shape = "x".join(map(str, s.shape))
        table.add_row(s.name, shape, f"{s.magnitude:.4g}", f"{s.absolute:.2e}", f"{s.relative:.2e}", verdict)
    Console().print(table)
    passed = all(stage.passed for stage in stages)
    if not passed:
        print("parity failed: nothing was written" if len(args.paths) > 1 else "parity failed")
    return passed
