"""Every limit of what travels between device and hub, with its unit."""

SCHEMA = 1  # version of the message types; another one is refused, so a hub is updated before its devices
SHARDS = 64  # parts of the up topic, fixed for ever: a device's shard is crc32(device) % SHARDS

MAX_UP_BYTES = 64 * 1024  # payload of an event from a device
MAX_DOWN_BYTES = 16 * 1024  # payload of a command, an acknowledgement or an enrolment
MAX_STATE_BYTES = 4 * 1024  # payload of a birth or a last will, retained
MAX_DESIRED_BYTES = 2 * 1024  # payload of what a cohort shall run, retained
MAX_TOPIC_BYTES = 512

MAX_NAME = 64  # characters
MAX_REASON = 64  # characters
MAX_PEM = 8 * 1024  # characters of a certificate, a chain or a request for one

MAX_SCORES = 64  # in one message of metrics, as the next four
MAX_TESTS = 32
MAX_DETECTORS = 32
MAX_FEATURES = 256
MAX_BINS = 66  # of one feature: 64, below and above, or 65 categories and the others
MAX_FEATURE_INDEX = 4095
MAX_WANTED = 64  # chunks in one request
MAX_RANGES = 64  # runs of sequence numbers in one acknowledgement
MIN_COUNTED = 32  # events behind the counts of one feature: fewer would show single ones
MIN_LABELS = 8  # labels behind one score, for the same reason
