"""Scores on a dataset: rows, their scores, statistics, tables and the report.

`ground_truth` says where people looked, `rows` and `people` what is scored; `clips` and `scorer` score it on the
devices, `scores` keeps the scores of each video; `statistics`, `comparison`, `tables`, `result_files`, `breakdowns` and
`report` make of them what people read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
