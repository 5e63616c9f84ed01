"""A moment of an agent, to be compared: everything that its future depends on, and its folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from acclimate_device.agent import Agent

OPTIONS: dict[str, Any] = {"task": "classification", "learners": ["softmax", "naive-bayes"], "micro_batch": 32}


def bits(agent: Agent) -> str:
    """Return everything that an agent's future depends on."""
    if agent._arena is None or agent._inputs is None:
        return ""
    agent._complete(agent._arena)
    tensors = {name: np.asarray(array).tobytes().hex() for name, array in agent._arena.tensors().items()}
    log = [[item.id.partition("-")[2], item.sequence, item.x.tolist()] for item in agent._log.items()]
    keeper = agent._keeper
    arena = agent._arena.document()
    arena["gains"] = [way[:2] for way in arena["gains"]]  # CPU-seconds are of this machine
    rest = [arena, agent._inputs.document(), log, keeper.learned, keeper.commits, keeper.since_commit]
    parts, documents = agent.desk.into(agent._pace.into(({}, {}), agent._inputs), agent._inputs)
    for name in ("cpu_s", "clock_s"):  # of this machine
        documents["pace"].pop(name)
    rest += [{name: array.tolist() for name, array in parts.items()}, documents]
    return json.dumps([tensors, rest], sort_keys=True, default=str)


def crashed(agent: Agent, folder: Path, to: Path) -> Path:
    """Return a copy of the folder as it is now, as if power failed at this moment; the agent is let go."""
    shutil.copytree(folder, to)
    agent.release()
    return to
