"""Other programs on the device: a Unix socket with JSON lines; see docs/local-protocol.md."""
