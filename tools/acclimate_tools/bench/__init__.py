"""Benchmarks: commands that print ratios against peers measured in the same run, and write JSON."""
