from .face_shares import (
    fixation_shares as fixation_shares,
)
from .saliency import (
    EPSILON as EPSILON,
)
from .saliency import (
    METRICS as METRICS,
)
from .saliency import (
    auc_borji as auc_borji,
)
from .saliency import (
    auc_judd as auc_judd,
)
from .saliency import (
    cc as cc,
)
from .saliency import (
    choose_negatives as choose_negatives,
)
from .saliency import (
    information_gain as information_gain,
)
from .saliency import (
    kl as kl,
)
from .saliency import (
    nss as nss,
)
from .saliency import (
    resized as resized,
)
from .saliency import (
    score as score,
)
from .saliency import (
    shuffled_auc as shuffled_auc,
)
from .saliency import (
    sim as sim,
)
