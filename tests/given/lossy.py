"""A connection to a streamer's labels that loses some of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq


@contextmanager
def losing(labels: str, is_lost: Callable[[list[bytes]], bool]) -> Iterator[str]:
    """Pass on what is published at an address, but for what is lost; yield the address of who passes it on.

    Parameters
    ----------
    labels : str
        Where it is published.
    is_lost : callable
        Tells of each message, topic and content, whether it is lost.
    """
    context = zmq.Context()
    inner, outer, stop, stopped = map(context.socket, (zmq.XSUB, zmq.XPUB, zmq.PAIR, zmq.PAIR))
    inner.connect(labels)
    port = outer.bind_to_random_port("tcp://127.0.0.1")
    stop.bind("inproc://stop")
    stopped.connect("inproc://stop")

    def pass_on() -> None:
        poller = zmq.Poller()
        for socket in (inner, outer, stopped):
            poller.register(socket, zmq.POLLIN)
        while stopped not in (ready := dict(poller.poll())):
            if outer in ready:
                inner.send_multipart(outer.recv_multipart())
            if inner in ready and not is_lost(frames := inner.recv_multipart()):
                outer.send_multipart(frames)

    thread = threading.Thread(target=pass_on)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        stop.send(b"")
        thread.join()
        context.destroy(linger=0)
