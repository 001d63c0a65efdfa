"""Scores on a dataset: rows, their scores, statistics, tables and the report.

- `ground_truth`: fixations, densities, the negatives of the shuffled AUC, and the centre prior.
- `rows`, `people`: what is scored: models, baselines, maps made elsewhere (`map_folders`), human observers.
- `clips`, `scorer`: clips of several videos are scored on the devices; `scores` keeps the scores of each video.
- `statistics`, `breakdowns`, `comparison`: means, intervals, groups of frames, differences between two results.
- `settings`, `tables`, `result_files`, `report`, `example_frames`: how the scores are printed and written.
- `challenge`: the second table, as the AIM and NTIRE challenges score.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
