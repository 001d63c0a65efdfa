from .heatmap import (
    grey_map as grey_map,
)
from .heatmap import (
    overlay as overlay,
)
from .prediction_files import (
    Outputs as Outputs,
)
from .prediction_files import (
    open_outputs as open_outputs,
)
from .video import (
    video_writer as video_writer,
)
