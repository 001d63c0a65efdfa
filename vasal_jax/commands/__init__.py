"""The command lines: a typed dataclass of arguments and one function each.

- `main`: the entry points: `vasal`, `predict.py`, `convert_weights.py`.
- `predict`, `predict_args`, `predict_video`: `predict.py` and `vasal predict` on one video.
- `predict_many`, `predict_job`, `video_list`, `output_records`, `shards`: the same on many videos.
- `evaluate`, `convert`, `export`, `demo`, `fetch`: the commands of these names.

`train.py` has its arguments in `configs/train_config.py`.
"""
