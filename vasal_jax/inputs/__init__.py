"""Files to NumPy arrays, without JAX.

- `clips`: a video as the clips that the model takes, from `video`, `audio` and `faces`.
- `video`, `sound`, `media`, `timeline`, `stream_clock`, `truncation`: media files, their streams and their times.
- `audio`: log-mel pictures of the sound.
- `faces`: face detection, tracks, crops and face maps.
- `fixations`: fixation points to fixation densities.
- `images`, `frame_folder`, `map_videos`, `npy`, `object_arrays`, `npz`: pictures, saliency maps and arrays in files.
- `limits`: the largest files, sizes and counts that are accepted.
"""
