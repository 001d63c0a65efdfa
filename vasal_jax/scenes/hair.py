"""Hair styles, in face heights with the middle of the face as the origin."""

import numpy as np

from vasal_jax.scenes.pen import Colour, Pen, box, oval, rounded, shade

SHORT = ("crop", "side", "curly", "quiff", "bald")
LONG = ("long", "bob", "bun", "curly long")


def paint_behind(pen: Pen, style: str, colour: Colour) -> None:
    """What hangs or sits behind the face."""
    dark = shade(colour, 0.72)
    if style in ("long", "curly long"):
        mass = [(-0.34, -0.55), (0.34, -0.55), (0.54, -0.2), (0.56, 0.5), (0.50, 0.9), (0.2, 0.82)]
        mass += [(-0.2, 0.82), (-0.50, 0.9), (-0.56, 0.5), (-0.54, -0.2)]
        inner = [(-0.19, 0.3), (0.19, 0.3), (0.17, 1.0), (-0.17, 1.0)]
        pen.fill(rounded(mass), dark)
        pen.erase(inner)  # the neck shows through
    elif style == "bob":
        mass = [(-0.34, -0.56), (0.34, -0.56), (0.55, -0.2), (0.57, 0.45), (0.2, 0.36), (-0.2, 0.36)]
        pen.fill(rounded([*mass, (-0.57, 0.45), (-0.55, -0.2)]), dark)
    elif style == "bun":
        pen.fill(oval(0.0, -0.64, 0.19, 0.17), colour)
        pen.glow(oval(-0.05, -0.69, 0.08, 0.05), shade(colour, 1.35), 0.6, 0.03, inside=oval(0, -0.64, 0.19, 0.17))
    if style == "curly long":
        for y in np.arange(-0.3, 0.9, 0.16):
            for side in (-1, 1):
                pen.fill(oval(side * 0.52, y, 0.12, 0.11), dark)


def paint_before(pen: Pen, style: str, hair: Colour, skin: Colour, face: np.ndarray) -> None:
    """What lies over the forehead and temples of `face`, an outline."""
    light = shade(hair, 1.3)
    cap = [(-0.43, -0.02), (-0.46, -0.34), (-0.34, -0.56), (0.0, -0.63), (0.34, -0.56), (0.46, -0.34), (0.43, -0.02)]
    fringe = {
        "crop": [(0.37, -0.2), (0.28, -0.30), (0.0, -0.33), (-0.28, -0.30), (-0.37, -0.2)],
        "side": [(0.37, -0.16), (0.34, -0.26), (0.1, -0.28), (-0.18, -0.38), (-0.34, -0.22), (-0.38, -0.16)],
        "quiff": [(0.38, -0.1), (0.33, -0.28), (0.0, -0.37), (-0.33, -0.28), (-0.38, -0.1)],
        "long": [(0.40, 0.1), (0.36, -0.18), (0.12, -0.38), (-0.06, -0.42), (-0.30, -0.24), (-0.40, 0.1)],
        "bob": [(0.40, 0.05), (0.35, -0.19), (0.15, -0.22), (-0.15, -0.22), (-0.35, -0.19), (-0.40, 0.05)],
        "bun": [(0.38, -0.12), (0.28, -0.34), (0.0, -0.40), (-0.28, -0.34), (-0.38, -0.12)],
        "curly": [(0.37, -0.2), (0.2, -0.32), (-0.2, -0.32), (-0.37, -0.2)],
        "curly long": [(0.38, -0.1), (0.25, -0.3), (-0.25, -0.3), (-0.38, -0.1)],
    }
    if style == "bald":
        pen.glow(oval(-0.1, -0.36, 0.14, 0.06), (255, 255, 255), 0.35, 0.05, inside=face)
        return
    if style == "quiff":
        cap[2:5] = [(-0.36, -0.62), (-0.05, -0.80), (0.36, -0.64)]
    mass = rounded(np.array(cap + fringe[style]), 2)
    pen.glow(np.add(mass, (0.01, 0.035)), shade(skin, 0.5), 0.55, 0.02, inside=face)
    pen.fill(mass, hair)
    pen.glow(box(0.25, -0.8, 0.7, 0.2), shade(hair, 0.5), 0.5, 0.07, inside=mass)
    if "curly" in style:
        for angle in np.linspace(-1.9, 1.9, 12):
            curl = oval(0.43 * np.sin(angle), -0.10 - 0.46 * np.cos(angle), 0.12, 0.11)
            pen.fill(curl, hair)
            pen.glow(curl - (0.03, 0.03), light, 0.35, 0.04, inside=curl)
    pen.glow(oval(-0.16, -0.50, 0.15, 0.04), light, 0.55, 0.04, inside=mass)
