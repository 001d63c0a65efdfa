"""A video in, maps out, as a stream.

- `streaming`: `stream` and `predict`, from a video file to maps.
- `inference`: the compiled programs of a clip; `clip_results` takes the softmax of maps and face weights.
- `recurrent_state`: what is remembered from clip to clip.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
