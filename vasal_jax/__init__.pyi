from . import exported as exported
from .config import ModelConfig as ModelConfig
from .errors import InputError as InputError
from .models import VASal as VASal
from .prediction import (
    FaceWeights as FaceWeights,
)
from .prediction import (
    FrameMap as FrameMap,
)
from .prediction import (
    predict as predict,
)
from .prediction import (
    stream as stream,
)
from .weights import load as load
from .weights import save as save
from .weights.hub import push as push

__version__: str
