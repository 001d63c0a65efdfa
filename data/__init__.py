"""Datasets on disk to batches of NumPy arrays. TensorFlow lives here, JAX does not.

| stage    | what it is                                        | modules                                       |
| -------- | ------------------------------------------------- | --------------------------------------------- |
| records  | a video and what is known of it, read when asked  | records; readers mvva challenge dhf1k stavis  |
| datasets | a folder to its records and splits                | datasets, splits                              |
| prepared | frames at the model's size in array_record shards | builder, schema, examples, shards, prepared   |
| batches  | clips, a function of seed and step                | clips, decoding, pipeline                     |

`synthetic` writes datasets of painted faces, `preview` shows what is known over a video. A new dataset is a reader and
a line in `datasets._LAYOUTS`.
"""

import os

# TensorFlow greets with lines about instructions it could use, which nothing here would gain from; errors reach us as
# exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
