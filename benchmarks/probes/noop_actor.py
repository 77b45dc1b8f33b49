"""Dramatiq, and nothing else: what a message costs before anything is done because of it.

PROBE_BROKER=amqp://… PROBE_QUEUE=… python -m benchmarks.probes.noop_actor 5000    sends so many messages
PROBE_BROKER=amqp://… PROBE_QUEUE=… dramatiq benchmarks.probes.noop_actor          works them off
"""

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["PROBE_BROKER"], middleware=[])
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=os.environ["PROBE_QUEUE"])
def nothing(_: int) -> None:
    """Does nothing."""


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        nothing.send(number)
