"""What a newcomer does, in the order of the README: each step a script of sh, run in the checkout."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        name: short, for the table.
        about: what the newcomer wants, one sentence.
        script: of sh; it ends at the first command that fails.
        most_s: seconds that it may take.
        installs: it waits for packages most of the time, which says more about the line than about us.
    """

    name: str
    about: str
    script: str
    most_s: float
    installs: bool = False


#: A CSV of one's own: a leak is told by another rule after the middle.
_OWN_CSV = """
python3 - > own.csv <<'END'
import random
random.seed(11)
print("pressure,flow,valve,shift,state")
for i in range(6000):
    p, f, v = random.gauss(0, 1), random.gauss(0, 1), random.random()
    sign = 1 if i < 3000 else -1
    leak = sign * p + f * v > 0.3
    print(f"{p:.3f},{f:.3f},{v:.3f},{random.choice(['day', 'night'])},{'leak' if leak else 'fine'}")
END
"""

_OWN_MODULE = """
cat > mymodels.py <<'END'
from torch import nn

from acclimate_tools.author.networks import Network


def pump() -> Network:
    module = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 2))
    return Network(module=module, name="pump", task="classification", features=7, classes=2)
END
"""

STEPS = (
    Step(
        name="demo",
        about="The first command of the README, in a checkout that has never been used.",
        script="make demo",
        most_s=300.0,
        installs=True,
    ),
    Step(
        name="install for a device",
        about="An environment of one's own, with what a device needs.",
        script="python3 -m venv ../device && ../device/bin/pip install --quiet '.[device]'",
        most_s=300.0,
        installs=True,
    ),
    Step(
        name="own file",
        about="A CSV of one's own, predicted and learned row by row, with a report.",
        script=_OWN_CSV
        + "../device/bin/acclimate replay own.csv --label state --report report.html && test -s report.html",
        most_s=60.0,
    ),
    Step(
        name="questions about the file",
        about="What learners see of it, what fresh data are worth, how long a decision would take.",
        script="../device/bin/acclimate columns own.csv --label state\n"
        "../device/bin/acclimate freshness own.csv --label state\n"
        "../device/bin/acclimate backtest own.csv --label state",
        most_s=180.0,
    ),
    Step(
        name="in Python",
        about="The agent in a program of one's own, labels one by one.",
        script="""
../device/bin/python - <<'END'
from acclimate_device.agent import Agent

agent = Agent(task="classification", learners=["softmax"])
for load in range(100):
    answer = agent.predict({"load": load * 7 % 10})
    agent.feedback(answer.id, "high" if load * 7 % 10 > 4 else "low")
assert agent.predict({"load": 9}).label == "high"
END
""",
        most_s=60.0,
    ),
    Step(
        name="killed and resumed",
        about="A replay that keeps a state is killed in the middle, and goes on.",
        script="""
timeout --signal=KILL 3 ../device/bin/acclimate replay own.csv --label state --state ./kept > /dev/null 2>&1 || true
../device/bin/acclimate replay own.csv --label state --state ./kept
../device/bin/acclimate status ./kept
../device/bin/acclimate lineage ./kept
""",
        most_s=120.0,
    ),
    Step(
        name="from a pipe",
        about="A program that prints a JSON object a line is learned from, live, and the state is looked after.",
        script="""
for i in $(seq 200); do
    load=$((i * 7 % 10))
    [ $load -gt 4 ] && state=high || state=low
    echo '{"load": '$load', "state": "'$state'"}'
done | ../device/bin/acclimate run --source - --label state --state ./live
../device/bin/acclimate contest ./live
../device/bin/acclimate privacy ./live
../device/bin/acclimate doctor ./live
../device/bin/acclimate wipe ./live --yes
""",
        most_s=120.0,
    ),
    Step(
        name="install for authors",
        about="What brings torch.",
        script="python3 -m venv ../author && ../author/bin/pip install --quiet '.[author]'",
        most_s=900.0,
        installs=True,
    ),
    Step(
        name="own torch module",
        about="A module of one's own, traced, checked against torch over 1,000 steps, and a challenger on the file.",
        script=_OWN_MODULE
        + "PYTHONPATH=. ../author/bin/acclimate-author build mymodels:pump --out ./pump\n"
        + "../device/bin/acclimate replay own.csv --label state --challenger-package ./pump",
        most_s=600.0,
    ),
    Step(
        name="install for a hub",
        about="An environment with what a hub needs.",
        script="python3 -m venv ../hub && ../hub/bin/pip install --quiet '.[hub]'",
        most_s=300.0,
        installs=True,
    ),
    Step(
        name="a fleet on one machine",
        about="Broker, hub and five devices; a second base model is rolled out to them.",
        script="../hub/bin/acclimate-hub demo --seconds 1",
        most_s=300.0,
    ),
)

#: The second command of the README; it takes as long as all the rest together.
TESTS = Step(
    name="all tests",
    about="The second command of the README: everything for development, and all checks.",
    script="make test",
    most_s=3600.0,
    installs=True,
)
