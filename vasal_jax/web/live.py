"""The camera on the page: a picture and its sound come in, the heat goes out, one after the other.

The browser sends the next picture when it has the answer to the last one, so pictures are dropped rather than late.
"""

import asyncio
import logging
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.routing import WebSocketRoute  # pyright: ignore[reportMissingImports] (an extra)
from starlette.websockets import WebSocket, WebSocketDisconnect  # pyright: ignore[reportMissingImports] (an extra)

from vasal_jax.outputs.heatmap import grey_map, heat
from vasal_jax.prediction.live import LivePrediction
from vasal_jax.web.guard import LIVE
from vasal_jax.web.models import PACKAGED, Models

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<dIHH")  # seconds, samples of sound, width and height; sound and RGBA follow
_SIDES = 16, 640  # pixels of a picture, least and most
_MAP = 32  # cells a side of the heat that is sent
_TRY_LATER, _BAD = 1013, 1008  # WebSocket's codes


class Live:
    """Serves one camera at a time."""

    def __init__(self, models: Models):
        self._models, self._busy = models, False

    def route(self) -> WebSocketRoute:
        """Where the page's camera is answered."""
        return WebSocketRoute(LIVE, self._serve)

    async def _serve(self, socket: WebSocket) -> None:
        await socket.accept()
        if self._busy:
            return await socket.close(_TRY_LATER, "another camera is on; try again when it is off")
        self._busy = True
        try:
            with ThreadPoolExecutor(1, "live") as thread:
                loop = asyncio.get_running_loop()
                prediction = await loop.run_in_executor(thread, LivePrediction, self._models[PACKAGED])
                await socket.send_json({"ready": True})
                while True:
                    message = await socket.receive_bytes()
                    answer = await loop.run_in_executor(thread, _answer, prediction, message)
                    if answer is None:
                        return await socket.close(_BAD, "expected a picture and its sound")
                    await socket.send_bytes(answer)
        except (WebSocketDisconnect, KeyError):  # the camera was turned off; KeyError: a message without bytes
            pass
        except Exception as error:
            logger.warning("the live page failed: an error of this program", exc_info=error)
            await socket.close(1011, "the program failed on this picture")
        finally:
            self._busy = False


def _answer(prediction: LivePrediction, message: bytes) -> bytes | None:
    """The heat of a picture: 32x32 colours with opacity, and the faces' boxes and weights; None for what is no picture.

    Returns:
      uint8 RGBA of 32x32 cells, then float32 (n,6): x1, y1, x2, y2 in 0..1, weight, probability that the face talks.
    """
    parts = _parts(message)
    if parts is None:
        return None
    time, sound, image = parts
    frame = prediction(image, time, sound)
    colours = heat(grey_map(frame.map, _MAP, _MAP)).tobytes()
    if frame.faces is None:
        return colours
    faces: Any = frame.faces
    rows = np.concatenate([faces.boxes, faces.weights[:, None], faces.talking[:, None]], axis=1)
    return colours + rows.astype("<f4").tobytes()


def _parts(message: bytes) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Seconds, sound and picture of a message; None where its parts do not make it up, or are no numbers."""
    if len(message) < _HEADER.size:
        return None
    time, samples, width, height = _HEADER.unpack_from(message)
    end = _HEADER.size + 4 * samples
    if not (_SIDES[0] <= min(width, height) and max(width, height) <= _SIDES[1]):
        return None
    if len(message) != end + 4 * width * height or not np.isfinite(time):
        return None
    sound = np.frombuffer(message, "<f4", samples, _HEADER.size)
    if not np.isfinite(sound).all():
        return None
    pixels = np.frombuffer(message, np.uint8, offset=end).reshape(height, width, 4)
    return time, np.clip(sound, -1, 1), np.ascontiguousarray(pixels[..., :3])
