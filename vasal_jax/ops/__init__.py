"""Operations of the model, in the form that is fastest where they run.

| operation        | GPU, TPU                           | CPU                                                 |
| ---------------- | ---------------------------------- | --------------------------------------------------- |
| conv2d           | XLA                                | Winograd, few channels, rows of matrix products     |
| conv_relu_pool   | XLA                                | Winograd, pooled in the tile                        |
| conv_transpose2d | XLA                                | four phases                                         |
| conv3d           | 2-D over three depths (CUDA), XLA  | all depths side by side                             |
| max_pool         | XLA                                | XLA; gradient by slices                             |
| map_frames       | all frames at once                 | one by one, to stay in the cache                    |
| scan_steps       | unrolled (CUDA), lax.scan          | lax.scan                                            |

Every form equals `ops.native` in values and gradients (`tests/ops`). `convolution`, `pooling` and `control_flow` choose
the form by platform and define the gradients; `native` holds the forms of a GPU or TPU, `forms` and `winograd` those of
a CPU. With a GPU or TPU, forms.py and winograd.py need not be read.
Arrays are channels last, pictures (N, H, W, C).
"""

from vasal_jax.ops.control_flow import custom_vjp, map_frames, scan_steps
from vasal_jax.ops.convolution import (
    PreparedKernel,
    conv2d,
    conv3d,
    conv_relu_pool,
    conv_transpose2d,
    flipped,
    prepare_kernel,
)
from vasal_jax.ops.pooling import max_pool
from vasal_jax.ops.squares import Array

__all__ = [
    "Array",
    "PreparedKernel",
    "conv2d",
    "conv3d",
    "conv_relu_pool",
    "conv_transpose2d",
    "custom_vjp",
    "flipped",
    "map_frames",
    "max_pool",
    "prepare_kernel",
    "scan_steps",
]
