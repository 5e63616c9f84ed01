"""Ids of predictions that have had their label: to tell a second label from one that nobody waits for.

Two generations: ids are added to the younger one, and when that is full, it becomes the older one and what was the
older is forgotten. So between half of the bound and all of it is remembered, and nothing is ever deleted one by one:
a table that is emptied at one end and filled at the other grows for a long time before it stands still.
"""

from typing import Any

Label = str | float | None


class Answered:
    """Ids with their label, None for a prediction that has expired."""

    def __init__(self, most: int) -> None:
        """Remember at most so many."""
        self._half = max(1, most // 2)
        self._young: dict[str, Label] = {}
        self._old: dict[str, Label] = {}

    def __contains__(self, name: object) -> bool:
        """Whether an id is remembered."""
        return name in self._young or name in self._old

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._young) + len(self._old)

    def __getitem__(self, name: str) -> Label:
        """Return the label of an id.

        Raises:
            KeyError: it is not remembered.
        """
        return self._young[name] if name in self._young else self._old[name]

    def add(self, name: str, label: Label) -> None:
        """Remember an id that is not remembered yet."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[name] = label

    def forget(self, name: str) -> None:
        """Forget an id."""
        self._young.pop(name, None)
        self._old.pop(name, None)

    def document(self) -> list[Any]:
        """Return the state as JSON values: the older generation, then the younger."""
        return [[[name, label] for name, label in one.items()] for one in (self._old, self._young)]

    def restore(self, document: list[Any]) -> None:
        """Take back what ``document`` returned."""
        self._old, self._young = (dict(one) for one in document)
