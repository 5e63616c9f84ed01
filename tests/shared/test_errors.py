import pickle
from pathlib import Path

import pytest

from acclimate_shared import errors
from acclimate_shared.errors import AcclimateError, InputError, LinkError, RefusedError

ALL = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, AcclimateError)]


@pytest.mark.parametrize("cls", ALL)
def test_every_error_has_a_sentence_a_root_and_a_place_in_the_tree(cls: type[AcclimateError]) -> None:
    assert cls.__doc__
    assert cls.__doc__.strip().endswith(".")
    assert cls.__name__.endswith("Error")
    assert cls is AcclimateError or issubclass(cls, LinkError | RefusedError)
    assert cls.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("cls", ALL)
def test_message_names_row_field_value_and_remedy(cls: type[AcclimateError]) -> None:
    error = cls("not a number", field="speed", value="abc", remedy="write a number or leave it empty", row=7)
    assert str(error) == "row 7: not a number [speed = 'abc']; write a number or leave it empty"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), again.row, again.field) == (str(error), 7, "speed")


def test_a_huge_value_is_shortened() -> None:
    error = InputError("cell too long", value="x" * 10_000_000)
    assert len(error.value) < 100
    assert str(InputError("bare")) == "bare"


def test_the_module_stays_short() -> None:
    assert len(Path(errors.__file__).read_text(encoding="utf-8").splitlines()) <= 100
