"""The agent: predicts, joins labels and learns on one device, with or without a hub."""

import os

# Before anything below imports numpy: one thread of linear algebra beats many on the small matrices of a device.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
