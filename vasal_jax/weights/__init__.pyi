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
