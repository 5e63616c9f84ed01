"""Settings of every test run."""

import os

from hypothesis import settings

# Before any test module imports onnxruntime, whose usage telemetry is on otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Shared machines are slow at times: a deadline of milliseconds would make tests flicker.
settings.register_profile("acclimate", deadline=None)
settings.load_profile("acclimate")
