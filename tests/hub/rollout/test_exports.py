import acclimate_hub.rollout as package
from acclimate_hub.rollout import errors
from acclimate_shared.errors import LinkError, RefusedError


def test_all_names_are_exported_and_sorted() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_every_error_says_what_a_caller_can_do() -> None:
    found = [c for c in vars(errors).values() if isinstance(c, type) and c.__module__ == errors.__name__]
    assert len(found) == 3
    for cls in found:
        assert issubclass(cls, LinkError | RefusedError)
        assert cls.__name__ in (errors.__doc__ or "")
