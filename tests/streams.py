"""Small streams for tests: deterministic, with a drift in the middle, a category, gaps and late labels in mind."""

import csv
from pathlib import Path

import numpy as np


def classification(rows: int, *, seed: int = 0, classes: int = 3) -> tuple[list[str], list[list[str]]]:
    """Return header and rows; the label depends on x0, x1 and the category, differently after the middle."""
    rng = np.random.default_rng(seed)
    table = []
    for i in range(rows):
        x = rng.standard_normal(3)
        shift = 0.0 if i < rows // 2 else 1.0
        kind = "abcd"[int(rng.integers(0, 4))]
        score = x[0] - x[1] * (1 - 2 * shift) + (0.8 if kind == "a" else 0.0)
        label = int(np.clip(np.floor(score + classes / 2), 0, classes - 1))
        gap = "" if rng.random() < 0.05 else f"{x[2]:.4f}"
        table.append([f"{x[0]:.4f}", f"{x[1]:.4f}", gap, kind, f"class{label}"])
    return ["x0", "x1", "x2", "kind", "label"], table


def regression(rows: int, *, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of two interleaved devices, each with a level that wanders."""
    rng = np.random.default_rng(seed)
    level = {"d0": 100.0, "d1": -50.0}
    table = []
    for i in range(rows):
        device = f"d{i % 2}"
        x = rng.standard_normal(2)
        level[device] += float(rng.standard_normal())
        table.append([device, f"{x[0]:.4f}", f"{x[1]:.4f}", f"{level[device] + 5 * x[0]:.4f}"])
    return ["device", "x0", "x1", "target"], table


def write_csv(path: Path, stream: tuple[list[str], list[list[str]]]) -> Path:
    """Write a stream as CSV and return the path."""
    header, table = stream
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(table)
    return path
