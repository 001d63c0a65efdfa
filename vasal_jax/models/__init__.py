"""The model: one module a branch, as in the figure of the paper, and VASal that joins them.

`visual` sees (texture, motion, `convlstm`), `audio` hears, `face` weighs the faces, `fusion` makes the map.
"""

from vasal_jax.config import ModelConfig
from vasal_jax.models.audio import AudioBranch
from vasal_jax.models.convlstm import ConvLSTM
from vasal_jax.models.face import FaceBranch, FaceLogits, gaussian_map
from vasal_jax.models.fusion import FusionModule
from vasal_jax.models.vasal import FaceInputs, ModelOutput, VASal, saliency
from vasal_jax.models.visual import VisualBranch

__all__ = [
    "AudioBranch",
    "ConvLSTM",
    "FaceBranch",
    "FaceInputs",
    "FaceLogits",
    "FusionModule",
    "ModelConfig",
    "ModelOutput",
    "VASal",
    "VisualBranch",
    "gaussian_map",
    "saliency",
]
