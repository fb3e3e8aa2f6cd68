"""Sockets that listen before anybody answers on them: whoever watches over the workers opens them once and hands them on.

A worker that is started again finds the callers who came meanwhile waiting, and no other program can take the port.
"""

from __future__ import annotations

import socket

from kangma.errors import Unavailable

#: Connections that wait to be taken, while a worker starts again too. The system may hold it lower (somaxconn).
BACKLOG = 4_096


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, alone. Unavailable when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as problem:
        made.close()
        raise Unavailable(f"cannot listen on port {port}: {problem.strerror}") from None
    made.setblocking(False)
    return made


def where(listening: socket.socket) -> str:
    """`http://host:port` of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
