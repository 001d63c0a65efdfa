from .detection import (
    detect_tracks as detect_tracks,
)
from .maps import (
    FaceMaps as FaceMaps,
)
from .sources import (
    Faces as Faces,
)
from .sources import (
    FaceSlots as FaceSlots,
)
from .sources import (
    open_faces as open_faces,
)
from .tracks import (
    load_tracks as load_tracks,
)
from .tracks import (
    save_tracks as save_tracks,
)
