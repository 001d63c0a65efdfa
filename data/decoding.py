"""Serialized examples to one clip of a batch: the part of the pipeline that is TensorFlow's."""

# TensorFlow's types know neither an ellipsis in a slice nor tensors in paddings.
# pyright: reportArgumentType=false

import tensorflow as tf

from data.clips import ClipOptions, ClipPlan
from data.schema import parsing_spec
from vasal_jax.config import CROP_SIZE, FRAME_SIZE, MAP_SIZE, MEL_SIZE, MEL_STEPS, RGB_MEAN
from vasal_jax.inputs.audio import TOP_DB

_EXAMPLE = parsing_spec()


def assemble(serialized: tf.Tensor, plan: ClipPlan, options: ClipOptions, subjects: int) -> dict[str, tf.Tensor]:
    """One clip of a batch as `data.pipeline` describes it, without B; its pictures are as stored, see `coloured`.

    Args:
      serialized: string (M,), the examples of the plan as they are stored.
      plan: its fields as tensors, as `PLAN_FIELDS` says.
      options: sizes of the plan.
      subjects: S.
    """
    length = options.length
    stored = tf.io.parse_example(tf.ensure_shape(serialized, (None,)), _EXAMPLE)
    own = {name: tf.gather(values, plan.own_at) for name, values in stored.items() if name != "mel"}
    pictures = _mirrored(_decoded(tf.gather(stored["frame"], plan.pictures)), plan.flip, axis=2)
    frames, frames_past = (tf.gather(pictures, at) for at in (plan.frame_at, plan.past_at))
    faces = _faces(own, plan, options)
    fixations = MAP_SIZE * _mirrored_points(own["fixations"], plan.flip)
    missing = subjects - tf.shape(fixations)[1]
    result = {
        "frames": (frames, (FRAME_SIZE, FRAME_SIZE, 3)),
        "frames_past": (frames_past, (FRAME_SIZE, FRAME_SIZE, 3)),
        "mel": (_heard(stored["mel"], plan), (MEL_STEPS, MEL_SIZE, MEL_SIZE, 1)),
        "face_map": (_mirrored(own["face_map"], plan.flip, axis=2)[..., None], (MAP_SIZE, MAP_SIZE, 1)),
        **{name: (values, (options.faces, *values.shape[2:])) for name, values in faces.items()},
        "density": (_mirrored(own["density"], plan.flip, axis=2), (MAP_SIZE, MAP_SIZE)),
        "fixations": (tf.pad(fixations, [[0, 0], [0, missing], [0, 0]], constant_values=float("nan")), (subjects, 2)),
        "valid": (plan.valid, ()),
        "frame": (plan.frame, ()),
    }
    shaped = {name: tf.ensure_shape(values, (length, *shape)) for name, (values, shape) in result.items()}
    return shaped | {"video": tf.ensure_shape(plan.video, ()), "colour": plan.colour}


def coloured(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The batch with its pictures as the model takes them, without `colour`.

    Of a whole batch at once: clips of float32 would be copied into it, which is four times the bytes.
    """
    colour = batch.pop("colour")
    return batch | {name: _coloured(batch[name], colour) for name in ("frames", "frames_past") if name in batch}


def _decoded(jpegs: tf.Tensor) -> tf.Tensor:
    """JPEGs (n,) of one size as uint8 (n,h,w,3)."""
    return tf.map_fn(
        lambda jpeg: tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE"),
        jpegs,
        fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
    )


@tf.function(jit_compile=True)  # one pass over the pixels in place of a dozen; the shapes are always the same
def _coloured(rgb: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """uint8 RGB as float32 minus the mean, with brightness, contrast and saturation multiplied by `factors`.

    Factors are (3,), or (B,3) for a first axis of B. Contrast is around the middle grey; what leaves 0..255 is cut off.
    Factors of 1 change nothing.
    """
    rgb = tf.cast(rgb, tf.float32)
    shape = [-1] + [1] * (rgb.shape.rank - 1)
    brightness, contrast, saturation = (tf.reshape(factor, shape) for factor in tf.unstack(factors, axis=-1))
    unchanged = tf.reshape(tf.reduce_all(factors == 1.0, axis=-1), shape)
    grey = 0.299 * rgb[..., 0:1] + 0.587 * rgb[..., 1:2] + 0.114 * rgb[..., 2:3]
    changed = (grey + saturation * (rgb - grey)) * brightness
    changed = tf.clip_by_value(127.5 + contrast * (changed - 127.5), 0.0, 255.0)
    return tf.where(unchanged, rgb, changed) - RGB_MEAN


def _heard(mel: tf.Tensor, plan: ClipPlan) -> tf.Tensor:
    """The windows of mel pictures (T,16,64,64,1): louder or softer, backwards where the clip runs so.

    Pictures are decibels, `TOP_DB` of them on 0..255. Silence, which is 0, stays silent.
    """
    louder = tf.clip_by_value(mel + plan.gain * (255.0 / TOP_DB), 0.0, 255.0)
    mel = tf.where((mel > 0) & (plan.gain != 0.0), louder, mel)
    mel = _mirrored(mel, plan.reverse, axis=2)
    return tf.gather(mel, plan.heard_at)[..., None]


def _faces(own: dict[str, tf.Tensor], plan: ClipPlan, options: ClipOptions) -> dict[str, tf.Tensor]:
    """The faces that cover most of the clip, in the order of their tracks, filled up to N."""
    boxes, mask = own["boxes"], own["mask"] > 0
    missing = tf.maximum(options.faces - tf.shape(mask)[1], 0)
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    covered = tf.pad(tf.reduce_sum(area, axis=0), [[0, missing]], constant_values=-1.0)
    chosen = tf.sort(tf.math.top_k(covered, options.faces).indices)

    def take(values: tf.Tensor) -> tf.Tensor:
        rest = [[0, 0]] * (values.shape.rank - 2)
        return tf.gather(tf.pad(values, [[0, 0], [0, missing], *rest]), chosen, axis=1)

    mask = take(mask)
    x1, y1, x2, y2 = tf.unstack(take(boxes), axis=-1)
    x1, x2 = tf.cond(plan.flip, lambda: (1 - x2, 1 - x1), lambda: (x1, x2))
    strips = _decoded(own["crops"])
    count = tf.shape(strips)[2] // CROP_SIZE
    crops = tf.reshape(strips, [-1, CROP_SIZE, count, CROP_SIZE, 3])
    crops = _mirrored(tf.transpose(crops, [0, 2, 1, 3, 4]), plan.flip, axis=3)
    # A video without faces has one empty crop, so that there is a picture to store.
    crops = tf.cond(tf.shape(own["mask"])[1] > 0, lambda: crops, lambda: crops[:, :0])
    here = mask[..., None]
    return {
        "face_crops": tf.where(here[..., None, None], _coloured(take(crops), plan.colour), 0.0),
        "face_boxes": tf.where(here, tf.stack([x1, y1, x2, y2], axis=-1), 0.0),
        "face_mask": mask,
        "talking": take(own["talking"]) > 0,
        "talking_known": take(own["talking_known"]) > 0,
    }


def _mirrored(values: tf.Tensor, condition: tf.Tensor, axis: int) -> tf.Tensor:
    return tf.cond(condition, lambda: tf.reverse(values, [axis]), lambda: values)


def _mirrored_points(points: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    """Points (T,S,2) as shares of the picture, x counted from the other side."""
    x, y = tf.unstack(points, axis=-1)
    return tf.stack([tf.cond(condition, lambda: 1 - x, lambda: x), y], axis=-1)
