from .detection import (
    detect_tracks as detect_tracks,
)
from .detection import (
    tracked_faces as tracked_faces,
)
from .maps import (
    FaceMaps as FaceMaps,
)
from .slots import (
    FaceSlots as FaceSlots,
)
from .sources import (
    Faces as Faces,
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
from .tracks import (
    tracks_file as tracks_file,
)
