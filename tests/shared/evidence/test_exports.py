from acclimate_shared import evidence


def test_every_exported_name_is_there_once() -> None:
    assert len(set(evidence.__all__)) == len(evidence.__all__)
    for name in evidence.__all__:
        assert hasattr(evidence, name)


def test_every_public_class_and_function_is_exported() -> None:
    own = {
        name
        for name, value in vars(evidence).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(evidence.__name__)
    }
    assert own | {"LOSSES"} == set(evidence.__all__)
