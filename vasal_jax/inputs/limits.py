"""What a file from outside may ask for. Readers check these before they allocate or loop; docs/reference/limits.md.

Each has room for what real recordings and datasets have; what a real file that meets one can do about it is in the
table of the docs.
"""

MAX_SIDE = 16384
"""Pixels of a picture's or a video's longer side."""
MAX_AREA = 2**26
"""Pixels of a picture or a video's frame: 8K, 7680x4320, has half of that."""
MAX_PICTURE_BYTES = 256 * 2**20
"""Of a PNG or JPEG file."""
MAX_JPEG_WORK = 2**30
"""Pixels times scans of a progressive JPEG, each of which passes over the whole picture."""

MAX_JUMPS = 4096
"""Times that the stamps of a video or sound file may start again or jump; 8 hours joined of 10 seconds have 2880."""
MAX_SILENCE = 4 * 3600.0
"""Seconds of silence that are filled in where a sound begins late or has gaps; in a video, none after its pictures."""

MAX_ARRAY_BYTES = 256 * 2**20
"""Of an `.npy` file; a video of MVVA needs less than 1 MiB."""
MAX_AXIS = 2**20
"""Length of an array's axis: nearly ten hours of frames at 30 a second."""
MAX_DIMENSIONS = 8
"""Axes of an array."""
MAX_OBJECT_FILE_BYTES = 32 * 2**20
"""Of an `.npy` file with an object array."""
MAX_OBJECT_STEPS = 2**22
"""Instructions of the pickle in an object array."""
MAX_OBJECT_BYTES = 256 * 2**20
"""Of an object array once it is expanded, a list's element counted as 64."""
MAX_OBJECT_DEPTH = 8
"""Arrays and lists within each other."""

MAX_MAPS_BYTES = 4 * 2**30
"""Of the maps of one video in an `.npz`; they are read a frame at a time. 450 of 1280x720 in float32 are 1.7e9."""
MAX_MEMBER_BYTES = 64 * 2**20
"""Of any other array in an `.npz`."""
MAX_MEMBERS = 256
"""Arrays of an `.npz`."""

MAX_MAT_BYTES = 64 * 2**20
"""Of a MATLAB file."""

MAX_JSON_BYTES = 16 * 2**20
"""Of a JSON file: results of 343 videos and ten rows have 1e6."""
MAX_DIGITS = 20
"""Of a whole number in JSON."""

MAX_WEIGHTS_HEADER_BYTES = 2**20
"""Of the header of a `.safetensors` file, or of an Orbax folder's metadata."""
MAX_PARAMETERS = 2**26
"""Of a model that a weights file describes; the released one has 7,274,113."""
MAX_ORBAX_CHUNKS = 2**16
"""Chunks of all arrays in an Orbax folder: 600 arrays on a hundred devices."""
MAX_PYTORCH_BYTES = 640 * 2**20
"""Of a PyTorch file: torchvision's VGG-16 has 553 million."""
MAX_PYTORCH_STEPS = 2**20
"""Instructions of each pickle in a PyTorch file."""

MAX_EXPORTED_BYTES = 320 * 2**20
"""Of an exported program's file: 4 bytes for each of the most parameters, and as much again as the program may have."""
MAX_PROGRAM_BYTES = 16 * 2**20
"""Of the program in such a file, without its parameters; those of the presets have less than 1 MiB."""
MAX_PROGRAM_NODES = 2000
"""Operations of an ONNX program; those of the presets have under 300."""
