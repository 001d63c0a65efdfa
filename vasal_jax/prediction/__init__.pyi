from .streaming import (
    FaceWeights as FaceWeights,
)
from .streaming import (
    FrameMap as FrameMap,
)
from .streaming import (
    Predictor as Predictor,
)
from .streaming import (
    predict as predict,
)
from .streaming import (
    stream as stream,
)
