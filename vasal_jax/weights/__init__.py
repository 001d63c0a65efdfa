"""Weights on disk: our own files, Orbax folders, and PyTorch checkpoints.

- `formats`: `load`, `save` and `read`, whatever the form of the file; `orbax_folder` reads Orbax's, and `stored` says
  what all forms hold.
- `parameters`: a model's parameters as NumPy arrays by name, into and out of a model.
- `pytorch`: the released PyTorch names and layouts to ours and back. It reads a file after `pytorch_files`, which
  refuses a hostile one, has checked it.
- `hub`: weights by name from a hub, and back.
- `pytorch_reference`, `pytorch_parity`: the released graph in PyTorch, and how far the converted model is from it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
