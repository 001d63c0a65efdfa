"""Where one stream of a media file is: the stamps of its packets, and the common time to which they are moved."""

from math import inf

import av

from vasal_jax.inputs.media import MediaStream

MAX_GAP = 3600.0  # seconds; a longer one is closed up
NEAR = 10.0  # seconds that streams may lie apart in a file whose packets are interleaved

_BACK = 0.1  # seconds that a stamp may go back without having started again
_REORDER = 2.0  # seconds that the times of pictures may go back where only these are said


class StreamClock:
    """Where one stream is: its last stamp in the file, and the time up to which it was shown or heard."""

    def __init__(self, stream: MediaStream):
        self.stream = stream
        self.shift = 0.0  # from stamps of the file to the common time
        self.last: float | None = None
        self.end = 0.0
        self.slack = _REORDER  # seconds that the next stamp may go back
        self._usual = 0.0  # seconds that the latest packet lasts
        self.part = 0  # how often it began anew
        self.restarted = False  # whether the stamps of this part lie before those of the part before

    def begin(self, shift: float, stamp: float) -> None:
        """What follows, from `stamp` on, is another part of the file, on its own clock."""
        self.shift = shift
        self.part += 1
        self.restarted = self.last is not None and stamp < self.last

    def length(self, packet: av.Packet, step: float) -> float:
        """Seconds that a packet lasts; `step` for a picture that does not say it."""
        said = float((packet.duration or 0) * packet.time_base)
        # MP4 has a jump in the length of the packet before it.
        if 0 < said <= MAX_GAP:
            self._usual = said
        return self._usual or (step if isinstance(self.stream, av.VideoStream) else 0.0)

    def distance(self, stamp: float) -> float:
        """Seconds between a stamp and the last one; infinite before the first."""
        return inf if self.last is None else abs(stamp - self.last)

    def jumps(self, stamp: float, others: list["StreamClock"]) -> bool:
        """Whether a stamp neither goes on from the last one nor is where the other streams are."""
        if self.last is None:
            return bool(others) and all(other.distance(stamp) > MAX_GAP for other in others)
        if stamp < self.last - self.slack:
            return True
        fits = (other.shift == self.shift and other.distance(stamp) < NEAR for other in others)
        return stamp > self.last + NEAR and not any(fits)

    def take(self, packet: av.Packet, stamp: float | None, step: float) -> None:
        """Moves a packet to the common time; `step` is the length of a picture whose own is not said."""
        self.last = self.last if stamp is None else stamp
        self.slack = slack_after(packet)
        if packet.pts is None and packet.dts is None:
            return
        ticks = round(self.shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        self.end = max(self.end, shown_at(packet) + self.length(packet, step))

    def replace(self, packet: av.Packet, step: float) -> None:
        """Gives a packet whose stamp fits nothing the time at which the one before it ends."""
        packet.pts = packet.dts = round(self.end / packet.time_base)
        self.end += self.length(packet, step)


def stamp_of(packet: av.Packet) -> float | None:
    """Seconds by which packets of a stream are in order; None where that is not said."""
    ticks = packet.pts if _shown_alone(packet) else packet.dts
    return None if ticks is None else float(ticks * packet.time_base)


def _shown_alone(packet: av.Packet) -> bool:
    """Whether a packet says when it is shown, but not when it is decoded, or nonsense of that."""
    # FFmpeg works out when pictures of Matroska are decoded, and does so wrongly where their stamps jump.
    return packet.dts is None or (packet.pts is not None and abs(packet.pts - packet.dts) * packet.time_base > NEAR)


def slack_after(packet: av.Packet) -> float:
    """Seconds that the stamp after a packet's may lie before it in a part of a file."""
    # Pictures come in the order of their decoding, in which the times at which they are shown go back and forth.
    return _REORDER if _shown_alone(packet) and isinstance(packet.stream, av.VideoStream) else _BACK


def shown_at(packet: av.Packet) -> float:
    """Seconds at which a packet with a stamp is shown."""
    ticks = packet.dts if packet.pts is None else packet.pts
    assert ticks is not None  # see `take`
    return float(ticks * packet.time_base)
