"""Who listens to what is remembered for as long as they do."""

import zmq

from kinestream.streamer.transport.subscriptions import Subscriptions
from tests.given.hostile import until


def test_short_topics_are_forgotten_with_whoever_subscribed_to_them():
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.set(zmq.XPUB_VERBOSER, 1)
        subscriptions = Subscriptions(publisher)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")

        def changed(count: int) -> bool:
            subscriptions.update()
            return subscriptions.changes == count

        with context.socket(zmq.SUB) as subscriber:
            for number in range(20):
                subscriber.subscribe(b"%d" % number)
            subscriber.connect(f"tcp://127.0.0.1:{port}")
            until(lambda: changed(20))
            for number in range(10):
                subscriber.unsubscribe(b"%d" % number)
            until(lambda: changed(30))
            assert sum(map(len, subscriptions._wide.values())) == 10
        until(lambda: changed(40))
        for connection in list(subscriptions._wide):
            subscriptions.forget(connection)
        assert not subscriptions._wide
