"""Models as programs with their weights in one file, for runtimes that do without this library."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
