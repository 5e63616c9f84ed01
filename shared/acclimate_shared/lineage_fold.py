"""Old commits of a lineage, folded: a run of them becomes one record, so that a life of years fits on a small disk.

Folded is only what nobody judged, decided or named: commits in a row, each the only child of the one before it, without
evidence, gates, reason or person. The record in their place says how many they were, keeps the sums of what they
learned and cost, and bears the digest of the last, by which the next record names it. What is in between cannot be
rebuilt any more; everything else about the chain holds as before.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from acclimate_shared.lineage_record import FORMAT, Fold, Record, Window, line

MOST_FOLDED = 256  # records in one fold at a time; folds are folded in their turn


class Link(NamedTuple):
    """What has to be known of a record to say whether it may be folded: so a long lineage need not be in memory."""

    digest: str
    parents: tuple[str, ...]
    plain: bool  # a commit that nobody judged or decided

    @classmethod
    def of(cls, record: Record) -> "Link":
        """Return the link of a record."""
        said = record.evidence or record.gates or record.plan or record.reason or record.who or record.unknown
        return cls(record.digest, record.parents, record.kind == "commit" and not said)


def runs(links: Sequence[Link], end: int, most: int = MOST_FOLDED) -> Iterator[tuple[int, int]]:
    """Yield the runs that may be folded: index of the first record and of the last, both included.

    Args:
        links: of the whole lineage.
        end: only records before this index.
        most: records in one run.
    """
    named = Counter(parent for link in links for parent in link.parents)
    first = 0
    while first < end:
        last = first
        while last + 1 < min(end, first + most) and _follows(links[last], links[last + 1], named):
            last += 1
        if last > first:
            yield first, last
        first = last + 1


def _follows(before: Link, link: Link, named: Counter[str]) -> bool:
    """Whether both may be in one fold."""
    return named[before.digest] == 1 and link.parents == (before.digest,) and before.plain and link.plain


def folded(records: list[Record]) -> Record:
    """Return the record that stands for a run."""
    first, last = records[0], records[-1]
    windows = [record.window for record in records if record.window]
    gains = [record.gain for record in records if record.gain is not None]
    count = sum(record.fold.records if record.fold else 1 for record in records)
    labels = sum(window.labels for window in windows)
    return replace(
        last,
        format=FORMAT,
        previous=first.previous,
        parents=first.parents,
        window=Window(first=windows[0].first, last=windows[-1].last, labels=labels) if windows else None,
        cpu_s=math.fsum(record.cpu_s for record in records),
        gain=math.fsum(gains) if len(gains) == len(records) else None,
        fold=Fold(records=count, last=last.digest),
    )


def folded_line(records: list[Record]) -> bytes:
    """Return the line of the record that stands for a run."""
    record = folded(records)
    return line(record.seal, record) + b"\n"
