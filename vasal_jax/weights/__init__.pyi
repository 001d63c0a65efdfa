from .formats import (
    PYTORCH_SUFFIXES as PYTORCH_SUFFIXES,
)
from .formats import (
    check_exists as check_exists,
)
from .formats import (
    initial_weights as initial_weights,
)
from .formats import (
    is_pytorch as is_pytorch,
)
from .formats import (
    load as load,
)
from .formats import (
    read as read,
)
from .formats import (
    save as save,
)
from .formats import (
    write as write,
)
