"""Arrays to files: videos, pictures, maps and tables, without JAX.

- `prediction_files`: every output of a prediction, each whole or absent.
- `frame_map`: the result of one frame, as `prediction.stream` yields it.
- `heatmap`, `explanation`, `labels`: maps, face weights and text drawn on pictures.
- `video`, `sound`: video files and their sound.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
