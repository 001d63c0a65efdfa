"""The faces of a video: found or read, as tracks, maps and crops.

- `sources`: which of these a video's faces come from; `found`, the faces of a video while it is read.
- `detection`, `detector`, `yunet`, `mtcnn`, `tracking`: faces are detected every few frames and tracked in between.
- `tracks`, `maps`: tracking files and face maps.
- `crops`, `slots`: the inputs of the face branch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
