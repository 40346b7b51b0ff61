"""A cable that is longer: frames between two network interfaces, each handed on after a delay. Linux, as root.

Run as `python -m benchmarks.cable <interface> <interface> <milliseconds>` until it is ended. Kernels that have the module for it
would do this by `tc netem`; this needs none. Both ends have to send whole frames (`send_whole_frames`).
"""

from __future__ import annotations

import ctypes
import fcntl
import selectors
import socket
import struct
import sys
import time
from collections import deque
from typing import Final

__all__ = ["delay", "send_whole_frames"]

_ALL_PROTOCOLS: Final = 3
_PACKET_OUTGOING: Final = 4
_SIOCETHTOOL: Final = 0x8946
_OFFLOADS: Final = (0x17, 0x1F, 0x24, 0x2C)
"""ETHTOOL_STXCSUM, _STSO, _SGSO, _SGRO: what is left to a network card, which is none here."""
_LARGEST: Final = 1 << 16


def send_whole_frames(interface: str) -> None:
    """Let an interface of this process's namespace send frames of a network's size, with their checksums."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def delay(first: str, second: str, seconds: float) -> None:
    """Hand frames on in both directions, each after so many seconds, without end; print a line once it begins."""
    ends = {}
    for name in (first, second):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        end.bind((name, 0))
        end.settimeout(0)
        ends[name] = end
    other = {ends[first]: ends[second], ends[second]: ends[first]}
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()
    print("ready", flush=True)
    with selectors.SelectSelector() as selector:  # others count whole milliseconds
        for end in other:
            selector.register(end, selectors.EVENT_READ, end)
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, target, frame = waiting.popleft()
                target.send(frame)
            for key, _events in selector.select(max(waiting[0][0] - now, 0) if waiting else None):
                source: socket.socket = key.data
                while True:
                    try:
                        frame, about = source.recvfrom(_LARGEST)
                    except BlockingIOError:
                        break
                    if about[2] != _PACKET_OUTGOING:
                        waiting.append((time.monotonic() + seconds, other[source], frame))


if __name__ == "__main__":
    if len(sys.argv) == 2:  # noqa: PLR2004
        send_whole_frames(sys.argv[1])
    else:
        delay(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
