from pathlib import Path

import numpy as np
import pytest

from acclimate_device.sync.trial import answers, run_trial
from acclimate_shared.bundle import Bundle, digest_of, write_bundle
from acclimate_shared.sanity import Sanity
from tests.bundles import NEEDS, PLAN, bundle, bundle_bytes


def written(path: Path, data: bytes) -> tuple[Path, str]:
    path.write_bytes(data)
    return path, digest_of(data)


def test_what_the_first_state_answers() -> None:
    one = bundle()
    np.testing.assert_allclose(answers(one.package, one.sanity.rule, one.sanity.x), one.sanity.expected, rtol=1e-6)


@pytest.mark.slow
def test_passes_or_fails_in_another_process(tmp_path: Path) -> None:
    assert run_trial(*written(tmp_path / "good", bundle_bytes())).passed
    one = bundle()
    wrong = Sanity(x=one.sanity.x, expected=one.sanity.expected + 0.1, rule=one.sanity.rule)
    odd = Bundle(package=one.package, plan=PLAN, sanity=wrong, constraints=NEEDS)
    found = run_trial(*written(tmp_path / "odd", write_bundle(odd)))
    assert (found.passed, found.reason) == (False, "answers differ by up to 0.1 at row 1")
    found = run_trial(tmp_path / "good", "0" * 64)
    assert (found.passed, "not the one that was signed" in found.reason) == (False, True)


@pytest.mark.slow
def test_a_process_that_dies_or_hangs_has_failed(tmp_path: Path) -> None:
    assert not run_trial(tmp_path / "none", "0" * 64).passed
    found = run_trial(*written(tmp_path / "good", bundle_bytes()), time_limit_s=0.01)
    assert (found.passed, found.reason) == (False, "no answer within 0.01 s")
