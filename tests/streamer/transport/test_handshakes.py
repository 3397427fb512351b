"""What a socket's monitor tells is heard now and then, or never: the socket goes on all the same."""

import subprocess
import sys
import time

import zmq

from kinestream.streamer.transport.handshakes import Handshakes
from tests.given.streamers import free_addresses

MANY_S = 4.0
"""Some 2,500 attempts or more to connect, a millisecond apart; libzmq has room for 2,000 that nobody has heard of."""

CLOSES = """
import sys, time
import zmq
from kinestream.streamer.transport.handshakes import Handshakes

context = zmq.Context()
socket = context.socket(zmq.PUSH)
socket.set(zmq.RECONNECT_IVL, 1)
socket.linger = 0
handshakes = Handshakes(socket, "samples")
socket.connect(sys.argv[1])
time.sleep(float(sys.argv[2]))
handshakes.close()
socket.close()
context.term()
"""


def test_whoever_was_away_for_long_is_found_though_nobody_listened_to_the_monitor():
    (address,) = free_addresses(1)
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.set(zmq.RECONNECT_IVL, 1)
        push.linger = 0
        handshakes = Handshakes(push, "samples")
        push.connect(address)
        time.sleep(MANY_S)
        with context.socket(zmq.PULL) as pull:
            pull.bind(address)
            push.send(b"here")
            came = pull.poll(5_000)
            handshakes.update()
            handshakes.close()
        assert came, "libzmq's thread waits for room to tell of its attempts"
        assert handshakes.reached


def test_it_can_be_closed_though_nobody_listened_to_the_monitor():
    (address,) = free_addresses(1)
    done = subprocess.run([sys.executable, "-c", CLOSES, address, str(MANY_S)], timeout=60, check=False)
    assert done.returncode == 0
