"""Fixation points to fixation maps and fixation densities at any size.

A point (x, y) is in pixels of the grid it was recorded on (MVVA: 1280x720, origin at the top left): it lies
in pixel (floor x, floor y), whose centre is half a pixel further on. For another size the coordinates are
scaled, never a map: a shrunk binary map loses and doubles fixations.

A density is the sum of one isotropic Gaussian per point. Each cell holds the Gaussian's mass inside the
cell (an integral, not a sample at the centre), so the density at 32x32 is the area average of the one at
1280x720, times the ratio of the areas, and no large map is ever blurred. Mass beyond the border is lost
before the map is normalised, as with a blur that pads with zeros.

The authors of MVVA published no width. `SIGMA` is this project's choice; other readers use 28 px (66 px
full width at half maximum) or sigma 66 px. It belongs beside every number that depends on it.
"""

import numpy as np
from scipy.special import ndtr

from vasal_jax.config import MVVA_GRID

SIGMA = 28.0  # pixels of that grid


def valid_points(points: np.ndarray, grid: tuple[int, int] = MVVA_GRID) -> np.ndarray:
    """Which points are fixations: finite and inside the grid.

    Args:
      points: (..., 2) x, y in pixels of `grid`. NaN, negative and outlying values mean "no fixation".
      grid: height, width of the grid in pixels.

    Returns:
      bool (...).
    """
    height, width = grid
    x, y = points[..., 0], points[..., 1]
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)  # false for NaN


def fixated_pixels(
    points: np.ndarray, size: tuple[int, int], grid: tuple[int, int] = MVVA_GRID
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that fixations lie in, on a map of another size.

    Args:
      points: (..., 2) x, y in pixels of `grid`.
      size: height, width of the map.
      grid: height, width of the grid in pixels.

    Returns:
      int32 (..., 2) x, y in pixels of the map, and bool (...), which of them are fixations; the others hold anything.
    """
    valid = valid_points(points, grid)
    centres = np.floor(np.where(valid[..., None], points, 0)) + 0.5
    return (centres * (size[1] / grid[1], size[0] / grid[0])).astype(np.int32), valid


def fixation_counts(points: np.ndarray, size: tuple[int, int], grid: tuple[int, int] = MVVA_GRID) -> np.ndarray:
    """Number of fixations in each cell.

    Args:
      points: (K, 2) x, y in pixels of `grid`; invalid ones are left out.
      size: height, width of the result.
      grid: height, width of the grid in pixels.

    Returns:
      int32 `size`. Its sum is the number of valid points.
    """
    cells, valid = fixated_pixels(points, size, grid)
    counts = np.zeros(size, np.int32)
    np.add.at(counts, (cells[valid, 1], cells[valid, 0]), 1)
    return counts


def fixation_density(
    points: np.ndarray, size: tuple[int, int], grid: tuple[int, int] = MVVA_GRID, sigma: float = SIGMA
) -> np.ndarray:
    """Gaussian fixation density, exact at any size.

    Args:
      points: (..., K, 2) x, y in pixels of `grid` (leading dimensions: frames). Invalid ones are left out.
      size: height, width of the result.
      grid: height, width of the grid in pixels.
      sigma: standard deviation in pixels of `grid`, the same in x and y there.

    Returns:
      float32 (..., *size), each map summing to 1. A map without a valid point is all zeros, so its sum tells.
    """
    valid = valid_points(points, grid)[..., None]
    centres = np.where(valid, np.floor(points) + 0.5, 0.0)
    across = _mass_in_cells(centres[..., 0], size[1], grid[1], sigma) * valid
    down = _mass_in_cells(centres[..., 1], size[0], grid[0], sigma)
    density = np.swapaxes(down, -1, -2) @ across
    total = density.sum((-2, -1), keepdims=True)
    return np.divide(density, total, out=np.zeros_like(density), where=total > 0).astype(np.float32)


def _mass_in_cells(centres: np.ndarray, cells: int, length: int, sigma: float) -> np.ndarray:
    """Mass of a one-dimensional Gaussian around each centre in each cell of [0, length]: (..., cells)."""
    edges = np.linspace(0, length, cells + 1)
    return np.diff(ndtr((edges - centres[..., None]) / sigma), axis=-1)
