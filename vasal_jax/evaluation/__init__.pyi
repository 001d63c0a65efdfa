from .comparison import (
    compare as compare,
)
from .ground_truth import (
    Conventions as Conventions,
)
from .ground_truth import (
    GroundTruth as GroundTruth,
)
from .ground_truth import (
    centre_prior as centre_prior,
)
from .people import (
    half_row as half_row,
)
from .rows import (
    also_against_half as also_against_half,
)
from .rows import (
    baseline_rows as baseline_rows,
)
from .rows import (
    folder_row as folder_row,
)
from .rows import (
    model_rows as model_rows,
)
from .scores import (
    Evaluation as Evaluation,
)
from .scores import (
    Scores as Scores,
)
from .statistics import (
    summarise as summarise,
)
