from .description import (
    Description as Description,
)
from .files import (
    FORMS as FORMS,
)
from .files import (
    Form as Form,
)
from .files import (
    load as load,
)
from .files import (
    save as save,
)
from .program import (
    Program as Program,
)
from .running import (
    run as run,
)
from .running import (
    stream as stream,
)
