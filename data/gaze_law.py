"""The law that synthetic gaze follows: of every frame the density of all people who could have looked at it.

It is a mixture of one Gaussian a target (the faces, the passing object, the middle of the picture), folded back at the
border of the picture as the gaze is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from vasal_jax.inputs.fixations import MVVA_GRID


@dataclass(frozen=True, eq=False)
class GazeLaw:
    """Where people look in one synthetic video.

    Attributes:
      weights: float32 (F, T), the share of the fixations of a frame that each of T targets has; a row sums to 1.
      centres: float32 (F, T, 2) x, y in pixels of the 1280x720 grid; anything where the weight is 0.
      deviations: float32 (F, T, 2), standard deviations in the same pixels.
    """

    weights: np.ndarray
    centres: np.ndarray
    deviations: np.ndarray

    def density(self, frames: Sequence[int], size: tuple[int, int], sigma: float) -> np.ndarray:
        """The limit of `fixation_density` as ever more people look: float32 (len(frames), *size), each summing to 1.

        Args:
          frames: indices of frames.
          size: height, width of the maps.
          sigma: standard deviation of the Gaussian around a fixation, in pixels of the 1280x720 grid.
        """
        index = list(frames)
        weights = self.weights[index]
        centres = np.where(weights[..., None] > 0, self.centres[index], 0.0)
        deviations = np.where(weights[..., None] > 0, self.deviations[index], 1.0)
        columns, rows = (
            _blurred_mass(centres[..., axis], deviations[..., axis], cells, length, sigma)
            for axis, cells, length in ((0, size[1], MVVA_GRID[1]), (1, size[0], MVVA_GRID[0]))
        )
        density = np.einsum("ft,fty,ftx->fyx", weights, rows, columns, optimize=True)
        return (density / density.sum((1, 2), keepdims=True)).astype(np.float32)


def _blurred_mass(centres: np.ndarray, deviations: np.ndarray, cells: int, length: int, sigma: float) -> np.ndarray:
    """Mass of one-dimensional Gaussians (F, T) in the cells of [0, length], folded at its ends, then blurred."""
    edges = np.linspace(0, length, cells + 1)
    images = (centres, -centres, 2 * length - centres)  # mirrored at either end
    mass = sum(np.diff(ndtr((edges - image[..., None]) / deviations[..., None]), axis=-1) for image in images)
    return gaussian_filter1d(mass, sigma * cells / length, axis=-1, mode="constant")
