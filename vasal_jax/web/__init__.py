"""A page on which people try the model: what `vasal web` serves.

Gradio is imported in `page`, `actions` and `server` alone, when the page is served.

- `command`: the command line.
- `server`: the page on an address, until the program is stopped.
- `page`, `actions`: what stands on it; what its buttons do.
- `live`: the camera.
- `models`, `predicting`: the weights to choose from; a visitor's video to files.
- `rows`, `side_by_side`: maps of several rows for one video, and the video that shows them beside each other.
- `chart`: the weights of the faces over time.
- `guard`: what reaches Gradio at all.
- `limits`, `rooms`: what a visitor may ask for; the private folders that the files lie in.
"""
