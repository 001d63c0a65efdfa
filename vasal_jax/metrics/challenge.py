"""The four scores of the AIM 2024 and NTIRE 2026 video saliency challenges, as their own program computes them.

They differ from `metrics.saliency` in their constants, in how maps are stretched, and in how AUC-Judd counts pixels; a
number of one is not to be held against a number of the other. All arithmetic is float64.

  prediction  float64 (H, W), `stretched` and brought to the truth's size by `resized`
  truth       float64 (H, W), the stretched ground-truth map
  fixations   int (K, 2), row and column of pixels of the map; one that occurs twice counts twice
"""

import cv2
import numpy as np
from jaxtyping import Float64, Int, Shaped

METRICS = ("AUC-J", "CC", "SIM", "NSS")  # in the order of the leaderboard
_EPSILON = 1e-7
_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


def score(
    prediction: Shaped[np.ndarray, "h2 w2"], truth: Shaped[np.ndarray, "h w"], fixations: Int[np.ndarray, "k 2"]
) -> dict[str, float]:
    """The four scores of a frame, by the names in `METRICS`; AUC-J and NSS are NaN where nobody looked anywhere.

    Args:
      prediction: float (H, W) or of another size, any range: it is stretched and resized here.
      truth: float (H, W), any range; it is stretched here.
      fixations: int (K, 2), row and column, inside the truth.
    """
    truth = stretched(truth)
    prediction = resized(stretched(prediction), truth.shape)
    standard = _standardised(prediction)
    return {
        "AUC-J": auc_judd(prediction, fixations),
        "CC": cc(standard, _standardised(truth)),
        "SIM": sim(prediction, truth),
        "NSS": float(standard[fixations[:, 0], fixations[:, 1]].mean()) if len(fixations) else np.nan,
    }


def stretched(array: Shaped[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    """A map from its minimum and maximum to 0..1; a constant one is zeros."""
    array = np.asarray(array, np.float64)
    low, high = array.min(), array.max()
    return (array - low) / (high - low + _FLOAT32_EPSILON)


def resized(array: Float64[np.ndarray, "h w"], size: tuple[int, int]) -> Float64[np.ndarray, "{size[0]} {size[1]}"]:
    """A map at another size (height, width), bilinearly, without antialiasing."""
    return array if array.shape == size else cv2.resize(array, size[::-1], interpolation=cv2.INTER_LINEAR)


def sim(prediction: Float64[np.ndarray, "h w"], truth: Float64[np.ndarray, "h w"]) -> float:
    """Similarity: what two maps that sum to 1 share."""
    return float(np.minimum(*(array / (array.sum() + _EPSILON) for array in (prediction, truth))).sum())


def cc(prediction: Float64[np.ndarray, "h w"], truth: Float64[np.ndarray, "h w"]) -> float:
    """Pearson's correlation of two maps that are standardised already."""
    norm = np.sqrt((prediction**2).sum() * (truth**2).sum())
    return float((prediction * truth).sum() / (norm + _EPSILON))


def auc_judd(prediction: Float64[np.ndarray, "h w"], fixations: Int[np.ndarray, "k 2"]) -> float:
    """Area under the ROC curve with thresholds at the fixated values; NaN without a fixation.

    The challenge's program takes the number of distinct columns of the list of (row, column) pairs, which is two in
    nearly all frames, where it means the number of distinct pairs. That number is subtracted from the pixels.
    """
    count = len(fixations)
    if count == 0:
        return np.nan
    values = np.sort(prediction[fixations[:, 0], fixations[:, 1]])[::-1]
    at_or_above = prediction.size - np.searchsorted(np.sort(prediction, axis=None), values, side="left")
    hits = np.arange(1, count + 1)
    distinct_columns = np.unique(fixations, axis=1).shape[1]
    true_positives = np.concatenate([[0], hits / count, [1]])
    false_positives = np.concatenate([[0], (at_or_above - hits) / (prediction.size - distinct_columns), [1]])
    return float(np.trapezoid(true_positives, false_positives))


def _standardised(array: np.ndarray) -> np.ndarray:
    return (array - array.mean()) / (array.std() + _EPSILON)
