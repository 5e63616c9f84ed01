"""A fleet of simulated devices in one process: what devices say is real, what they learn is not."""
