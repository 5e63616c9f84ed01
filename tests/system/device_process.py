"""A device as a process of its own: ``python -m tests.system.device_process STATE ROWS``.

It learns ROWS events for ever (0: none), keeps in touch with its hub at a quick pace, and ends when nothing waits for
the hub any more, if it was given no events; otherwise when it is killed.
"""

import sys
import time
from pathlib import Path

from acclimate_device.agent import Agent
from acclimate_device.sync.limits import LinkLimits, OutboxLimits, UplinkLimits
from acclimate_device.sync.start import uplink_of
from tests.device.test_agent import events

MICRO_BATCH = 16


def device(state: Path) -> Agent:
    return Agent(task="classification", learners=["softmax", "naive-bayes"], micro_batch=MICRO_BATCH, state=state)


def main(state: Path, rows: int) -> None:
    agent = device(state)
    uplink = uplink_of(
        agent,
        link=LinkLimits(pause_s=0.1, longest_pause_s=0.3, turn_s=0.2),
        outbox=OutboxLimits(window=16, again_s=1.0, longest_again_s=2.0),
        uplink=UplinkLimits(bucket_s=0.05, idle_s=30.0, turn_s=0.05),
    )
    assert uplink is not None
    agent.commit()
    uplink.start()
    at = 0
    while rows or uplink.outbox.size()[0] or uplink.outbox.taken() < uplink.source.lines():
        for features, label in events(rows, seed=at):
            agent.feedback(agent.predict(features).id, label)
        if rows:
            agent.commit()
        at += 1
        time.sleep(0.02)
    uplink.close()
    agent.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
