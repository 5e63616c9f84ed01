"""The sanity set, answered on this machine, in a process of its own.

A model from outside can hang or crash inside the runtime, and nothing in the same process can contain that. So the
first run of a bundle is somebody else's: ``python -m acclimate_device.sync.trial FILE DIGEST`` loads it, answers the
fixed inputs, and says pass or fail; a crash, or no word in time, is a fail.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_shared.bundle import read_bundle
from acclimate_shared.errors import AcclimateError
from acclimate_shared.learner import LearnerPackage
from acclimate_shared.sanity import SanityResult, SanityRule

TIME_LIMIT_S = 60.0


def answers(package: LearnerPackage, rule: SanityRule, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the first state of a package answers.

    Args:
        package: Verified.
        rule: Sizes of the dims, and the seed of what is drawn.
        x: (rows, ...) float64, inputs.

    Returns:
        (rows, outputs) float64.

    Raises:
        PackageError: If the graphs do not run.
    """
    from acclimate_device.executor import Learner

    learner = Learner(package)
    state = learner.init_state(rule.dims, rule.seed)
    step = package.manifest.max_rows or len(x)
    parts = [learner.predict(state, x[i : i + step]) for i in range(0, len(x), step)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def run_trial(path: Path, digest: str, *, time_limit_s: float = TIME_LIMIT_S) -> SanityResult:
    """Let another process answer the sanity set of a bundle.

    Args:
        path: File of the bundle.
        digest: That was signed.
        time_limit_s: After which it has failed.

    Returns:
        Pass or fail, and why.
    """
    words = [sys.executable, "-m", "acclimate_device.sync.trial", str(path), digest]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        done = subprocess.run(words, env=environment, capture_output=True, timeout=time_limit_s, check=False)  # noqa: S603 - our own interpreter and module
    except subprocess.TimeoutExpired:
        return SanityResult(passed=False, reason=f"no answer within {time_limit_s:g} s", worst=np.inf)
    if done.returncode != 0:
        return SanityResult(passed=False, reason=f"the process ended with {done.returncode}", worst=np.inf)
    found = msgspec.json.decode(done.stdout, type=dict[str, Any])
    worst = np.inf if found["worst"] is None else float(found["worst"])
    return SanityResult(passed=found["passed"] is True, reason=str(found["reason"]), worst=worst)


def main(arguments: list[str]) -> int:
    """Answer, and print the result as JSON."""
    path, digest = arguments
    try:
        bundle = read_bundle(Path(path).read_bytes(), digest=digest)
        found = bundle.sanity.judge(answers(bundle.package, bundle.sanity.rule, bundle.sanity.x))
    except AcclimateError as error:
        found = SanityResult(passed=False, reason=str(error), worst=np.inf)
    sys.stdout.buffer.write(msgspec.json.encode(found))  # infinity becomes null
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
