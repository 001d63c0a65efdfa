from .ground_truth import (
    Conventions as Conventions,
)
from .ground_truth import (
    GroundTruth as GroundTruth,
)
from .ground_truth import (
    centre_prior as centre_prior,
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
    compare as compare,
)
from .statistics import (
    summarise as summarise,
)
