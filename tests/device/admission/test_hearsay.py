"""Odd labels are told while they are news, and kept back while they are noise."""

import json

import numpy as np

from acclimate_device.admission.hearsay import MOST_KEYS, Hearsay

SURE = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])  # of each class in turn


def flipped(share: float, rows: int, seed: int = 0, run: int = 10) -> list[tuple[int, int]]:
    """Return true classes, which last for ``run`` labels, and what is said: another one now and then."""
    rng = np.random.default_rng(seed)
    true = (np.arange(rows) // run) % 3
    said = np.where(rng.random(rows) < share, (true + rng.integers(1, 3, rows)) % 3, true)
    return list(zip(true.tolist(), said.tolist(), strict=True))


def test_noise_is_kept_back_once_it_is_known_as_such() -> None:
    hearsay, wrong = Hearsay(), []
    for true, said in flipped(0.2, 2_000):
        if hearsay.tell("", said, SURE[true]):
            wrong.append(said != true)
    assert hearsay.noise > hearsay.news
    assert np.mean(wrong[800:]) < 0.06  # a fifth of what was said
    assert hearsay.kept_back > 200


def test_news_is_told() -> None:
    hearsay, before = Hearsay(), 0
    for true, said in flipped(0.0, 2_000):
        assert hearsay.tell("", said, SURE[before])  # the champion is sure that all stays as it was
        before = true
    assert hearsay.kept_back == 0


def test_what_two_say_or_somebody_trusted_is_told() -> None:
    hearsay = Hearsay()
    hearsay.news, hearsay.noise = 0.0, 1.0
    assert hearsay.tell("a", 0, SURE[0])
    assert not hearsay.tell("a", 1, SURE[0])
    assert hearsay.tell("b", 2, SURE[0])  # of another key nothing was known
    assert hearsay.tell("a", 1, SURE[0])
    assert hearsay.tell("a", 2, SURE[1], trusted=True)
    assert hearsay.tell("a", 5, SURE[2]) is False  # a class that the champion has never heard of is odd too
    assert hearsay.tell("a", 0, np.array([0.3, 0.2, 0.5]))  # contradicted, but the champion was not sure


def test_it_goes_on_bit_for_bit_in_bounded_memory() -> None:
    labels = flipped(0.2, 600)
    whole, parts = Hearsay(), Hearsay()
    for at, (true, said) in enumerate(labels):
        if at % 97 == 0:
            saved, parts = parts.document(), Hearsay()
            parts.restore(json.loads(json.dumps(saved)))
        assert whole.tell("", said, SURE[true]) == parts.tell("", said, SURE[true])
    assert whole.document() == parts.document()
    for key in range(MOST_KEYS + 5):
        whole.tell(str(key), 0, SURE[0])
    assert len(whole.document()[3]) == MOST_KEYS
