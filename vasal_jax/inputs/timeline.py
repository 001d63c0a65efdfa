"""One time for the pictures and the sound of a file, from whatever its time stamps say.

The rule, for reading and for writing alike:

- Time 0 is the first picture that can be decoded. In a file without pictures it is the first sound.
- Where the stamps of the file start again, as in joined files, what follows goes on where the pictures before it
  ended; if sound before it lasted longer, that many whole frames later. All streams are moved by the same shift.
- A jump of more than `MAX_GAP` (the camera was paused, its clock was set) is closed up in the same way, and so is one
  that makes the jumps of the file add up to more.
- Any other jump is a gap: the last picture stands, and silence is heard.
- A single stamp that fits nothing is replaced by the end of the packet before, as is every one that jumps after
  `limits.MAX_JUMPS` of them.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from math import ceil
from typing import Any, TypeVar, overload

import av
from av.container import InputContainer
from av.error import FFmpegError

from vasal_jax.inputs import limits
from vasal_jax.inputs.media import (
    FALLBACK_FPS,
    MAX_DECODER_THREADS,
    MediaStream,
    first_line,
    frame_rate,
    open_media,
    raise_if_starved,
    read_packets,
    shown_stream,
    sound_streams,
)
from vasal_jax.inputs.stream_clock import MAX_GAP, NEAR, StreamClock, shown_at, slack_after, stamp_of

T = TypeVar("T")

_JITTER = 1.0  # seconds that one stream may go back while the others go on
_AHEAD = 400  # packets looked at after a jump
_AHEAD_BYTES = 32 << 20
_REORDERED = 16  # pictures among which the first to be shown is looked for


class Timeline:
    """The packets of an opened file with stamps that go on; decoded from these, frames have such stamps, too.

    Attributes:
      pictures: the video stream that is shown, None without one.
      streams: the pictures and all sounds by their indices in the file.
    """

    def __init__(self, container: InputContainer):
        self.pictures = shown_stream(container)
        self._container = container
        self._gaps = 0.0  # seconds of jumps that were believed
        self._jumps = 0  # places that were looked at, each of which takes a while
        self._step = 1 / ((self.pictures and frame_rate(self.pictures)[0]) or FALLBACK_FPS)
        # All sounds, whichever is heard, so that the time of the pictures does not depend on the choice.
        streams: list[MediaStream] = [*([self.pictures] if self.pictures else []), *sound_streams(container)]
        self.streams = {stream.index: stream for stream in streams}
        self._clocks = {index: StreamClock(stream) for index, stream in self.streams.items()}

    def packets(self, stream: MediaStream, errors: list[str]) -> Iterator[av.Packet]:
        """The packets of one stream, their stamps on the common time; what cannot be read goes to `errors`."""
        source = read_packets(self._container, self.streams.values(), errors)
        ahead: deque[av.Packet] = deque()
        while (packet := ahead.popleft() if ahead else next(source, None)) is not None:
            self._place(packet, ahead, source)
            if packet.stream_index == stream.index:
                yield packet

    @overload
    def frames(self, stream: av.VideoStream, errors: list[str]) -> Iterator[av.VideoFrame]: ...
    @overload
    def frames(self, stream: av.AudioStream, errors: list[str]) -> Iterator[av.AudioFrame]: ...
    @overload
    def frames(
        self, stream: av.VideoStream, errors: list[str], convert: Callable[[av.VideoFrame], T]
    ) -> Iterator[T]: ...
    def frames(
        self, stream: MediaStream, errors: list[str], convert: Callable[[Any], Any] = lambda frame: frame
    ) -> Iterator[Any]:
        """Yields `convert(frame)` of each frame of a stream; what FFmpeg cannot read or decode goes to `errors`.

        What lies before the first key picture is no error: it cannot be decoded in any player.
        """
        if stream is self.pictures:
            stream.codec_context.thread_type = "AUTO"
            # Each thread holds a frame; where one of these is damaged, the others under way are lost with it.
            stream.codec_context.thread_count = MAX_DECODER_THREADS
        # FFmpeg counts the packets of a transport stream, and the count starts again where files were joined.
        joins_are_corrupt = self._container.format.name == "mpegts"
        begun, part, clock = False, 0, self._clocks[stream.index]

        def attempt(function: Callable, argument: Any) -> Any:
            try:
                return function(argument)
            except FFmpegError as error:
                raise_if_starved(error)
                if begun:
                    errors.append(first_line(error))
                return None

        def decoded(packet: av.Packet) -> Iterator[Any]:
            nonlocal begun
            for frame in attempt(stream.codec_context.decode, packet) or ():
                begun = True
                if (converted := attempt(convert, frame)) is not None:
                    yield converted

        for packet in self.packets(stream, errors):
            if clock.part != part:
                part = clock.part
                if clock.restarted or packet.is_keyframe:
                    # What is joined was encoded apart: the decoder gives what it holds and begins anew.
                    yield from decoded(_flush(stream))
                    stream.codec_context.flush_buffers()
                    begun = False
            begun = begun or packet.is_keyframe
            if packet.is_corrupt and begun and not joins_are_corrupt:
                errors.append("a packet is incomplete")
            yield from decoded(packet)
        yield from decoded(_flush(stream))

    def _place(self, packet: av.Packet, ahead: deque[av.Packet], source: Iterator[av.Packet]) -> None:
        """Gives a packet its stamp on the common time; looks at packets `ahead` where its own stamp jumps."""
        clock, stamp = self._clocks[packet.stream_index], stamp_of(packet)
        if stamp is None:
            clock.take(packet, None, self._step)
            return
        others = [other for other in self._clocks.values() if other is not clock and other.last is not None]
        if clock.last is None and others:
            clock.shift = min(others, key=lambda other: other.distance(stamp)).shift
        if clock.jumps(stamp, others):
            joined = [other for other in others if other.shift != clock.shift and other.distance(stamp) < NEAR]
            if joined:
                clock.begin(joined[0].shift, stamp)
            elif self._jumps == limits.MAX_JUMPS:
                clock.replace(packet, self._step)
                return
            else:
                self._jumps += 1
                _fill(ahead, source)
                if self._is_stray(packet, stamp, clock, ahead):
                    clock.replace(packet, self._step)
                    return
                self._bridge(packet, stamp, clock, ahead)
        clock.take(packet, stamp, self._step)

    def _is_stray(self, packet: av.Packet, stamp: float, clock: StreamClock, ahead: deque[av.Packet]) -> bool:
        """Whether the stream's next packet goes on where it was before this one."""
        if clock.last is None:
            return False
        following = next((p for p in ahead if p.stream_index == packet.stream_index and stamp_of(p) is not None), None)
        after = None if following is None else stamp_of(following)
        return after is not None and 0 < after - clock.last < _JITTER < abs(after - stamp)

    def _bridge(self, packet: av.Packet, stamp: float, clock: StreamClock, ahead: deque[av.Packet]) -> None:
        """Chooses the shift of what begins with `packet`."""
        begun, ends = self._begun([packet, *ahead], clock, stamp)
        if clock.last is None:
            # The first packet of a stream, which lies far from the others: they begin together.
            clock.shift = max(other.end for other in self._clocks.values() if other.last is not None) - stamp
            return
        alive = {p.stream_index for p in ahead} - {packet.stream_index}
        step = stamp - clock.last
        if alive and len(begun) == 1 and -_JITTER < step < 0:
            return
        if 0 < step <= MAX_GAP - self._gaps:
            self._gaps += step
            return
        starts = {index: min(stamps) for index, stamps in begun.items()}
        shown = self.pictures.index if self.pictures else None
        if shown not in starts:
            clock.begin(max(ends[index] - start for index, start in starts.items()), stamp)
            return
        shift = ends[shown] - starts[shown]
        heard = [ends[index] - start - shift for index, start in starts.items() if index != shown]
        frames = max(0, ceil(max(heard, default=0.0) / self._step - 0.5))
        clock.begin(shift + frames * self._step, stamp)

    def _begun(
        self, window: list[av.Packet], founder: StreamClock, stamp: float
    ) -> tuple[dict[int, list[float]], dict[int, float]]:
        """By stream, the first stamps of what begins anew in `window` close to `stamp`, and where it ended before."""
        last = {index: clock.last for index, clock in self._clocks.items()}
        slack = {index: clock.slack for index, clock in self._clocks.items()}
        ends = {index: clock.end for index, clock in self._clocks.items()}
        begun: dict[int, list[float]] = {}
        over: set[int] = set()
        for packet in window:
            index, at = packet.stream_index, stamp_of(packet)
            clock = self._clocks[index]
            if at is None or clock.shift != founder.shift:
                continue
            before, last[index] = last[index], at
            begins = before is None or at < before - slack[index] or at > before + NEAR
            slack[index] = slack_after(packet)
            if index not in begun and not begins:
                ends[index] = max(ends[index], shown_at(packet) + clock.shift + clock.length(packet, self._step))
            elif index in begun and begins:
                over.add(index)  # another part follows, which is looked at when its turn comes
            elif abs(at - stamp) <= NEAR and index not in over and len(begun.setdefault(index, [])) < _REORDERED:
                begun[index].append(shown_at(packet))
        return begun, ends


def time_zero(path: str | os.PathLike, track: av.AudioStream | None = None) -> float | None:
    """The stamp, in seconds on the `Timeline`, of a file's first decodable picture.

    Args:
      path: a video or sound file.
      track: the sound stream of `path` whose first sound it is where there are no pictures.

    Returns:
      None where nothing can be decoded.

    Raises:
      InputError: no such file or not one of video or sound.
    """
    with open_media(path) as container:
        pictures = shown_stream(container)
        indices = ([pictures.index] if pictures else []) + ([track.index] if track else [])
    for index in indices:
        # Opened anew, because what was read in search of pictures is gone.
        with open_media(path) as container:
            timeline = Timeline(container)
            for frame in islice(timeline.frames(timeline.streams[index], errors=[]), 1):
                return frame.time
    return None


def _flush(stream: MediaStream) -> av.Packet:
    """The empty packet at which a decoder gives what it still holds."""
    packet = av.Packet()
    if stream.time_base:
        packet.time_base = stream.time_base
    return packet


def _fill(ahead: deque[av.Packet], source: Iterator[av.Packet]) -> None:
    held = sum(packet.size for packet in ahead)
    while len(ahead) < _AHEAD and held < _AHEAD_BYTES and (packet := next(source, None)) is not None:
        ahead.append(packet)
        held += packet.size
