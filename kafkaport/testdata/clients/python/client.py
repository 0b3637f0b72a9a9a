"""See README.md in the directory above."""

import sys
import threading

from confluent_kafka import Consumer, Producer


def produce(address, topic, codec):
    producer = Producer({
        "bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5,
        "retry.backoff.ms": 50, "reconnect.backoff.ms": 50,
    })
    failed = []
    for line in sys.stdin:
        producer.produce(topic, line.strip(), line.strip(), on_delivery=lambda error, _: error and failed.append(error))
        producer.poll(0)
    if producer.flush(60) or failed:
        sys.exit(f"not acknowledged: {failed}")


def consume(address, group, topic):
    ends = threading.Event()

    def wait():
        sys.stdin.read()
        ends.set()

    threading.Thread(target=wait, daemon=True).start()
    consumer = Consumer({
        "bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 200, "reconnect.backoff.ms": 50,
    })
    consumer.subscribe([topic])
    while not ends.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error():
            print(message.error(), file=sys.stderr)
        elif message is not None:
            print(message.value().decode(), flush=True)
    consumer.close()


{"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
