"""The agent: predicts, joins labels and learns on one device, with or without a hub."""

import os

# Read by onnxruntime at its first import, wherever that happens: no usage telemetry from a device of ours.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Before anything below imports numpy: one thread of linear algebra beats many on the small matrices of a device.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
