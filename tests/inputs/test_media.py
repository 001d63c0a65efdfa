"""Packets as they are read from files whose end or whose streams are odd."""

import av
import pytest

from vasal_jax.inputs.media import read_packets
from vasal_jax.system import address_space


class _Container:
    """Yields what it is given, and raises what is an error."""

    def __init__(self, *parts):
        self.parts = list(parts)

    def demux(self, streams):
        while self.parts:
            part = self.parts.pop(0)
            if isinstance(part, Exception):
                raise part
            yield part


def test_streams_that_appear_on_the_way_do_not_end_in_an_error():
    """Found by damaging an FLV file: PyAV looks for the new stream when all packets have been read."""
    errors = []
    packet = av.Packet(10)
    assert list(read_packets(_Container(packet, IndexError("list index out of range")), [], errors)) == [packet]
    assert errors == []


def test_what_cannot_be_read_is_passed_over():
    errors = []
    first, second = av.Packet(10), av.Packet(20)
    container = _Container(first, av.FFmpegError(5, "Input/output error"), av.Packet(0), second)
    assert list(read_packets(container, [], errors)) == [first, second]
    assert errors == ["Input/output error"]


def test_a_file_that_cannot_be_read_at_all_ends():
    errors = []
    container = _Container(*[av.FFmpegError(5, "Input/output error")] * 5000)
    assert list(read_packets(container, [], errors)) == []
    assert len(errors) == 100


@pytest.mark.parametrize("scarce", [True, False])
def test_a_lack_of_memory_is_raised_and_an_absurd_size_is_not(monkeypatch, scarce):
    """FFmpeg says the same of both."""
    monkeypatch.setattr(address_space, "is_scarce", lambda: scarce)
    errors = []
    packets = read_packets(_Container(av.error.MemoryError(12, "Cannot allocate memory"), av.Packet(10)), [], errors)
    if scarce:
        with pytest.raises(MemoryError):
            list(packets)
    else:
        assert len(list(packets)) == 1
        assert errors == ["Cannot allocate memory"]
