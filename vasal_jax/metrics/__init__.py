"""Saliency metrics, each a pure function of arrays.

- `saliency`: CC, SIM, KL, NSS, the AUCs and IG, and `METRICS`, the columns of a table. A new metric is a function
  there, its name in `METRICS` and its call in `score`.
- `moments`: what they need to know of a map.
- `roc`: the counts behind the AUCs.
- `face_shares`: the shares of the fixations that faces draw.
- `challenge`: the metrics of the AIM 2024 and NTIRE 2026 challenges, as their program computes them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
