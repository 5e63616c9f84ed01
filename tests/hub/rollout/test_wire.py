import msgspec
import pytest

from acclimate_hub.rollout import machine
from acclimate_hub.rollout.wire import checked, heard
from acclimate_shared.errors import InputError, MessageError
from acclimate_shared.messages.envelope import decode, encode
from acclimate_shared.messages.topics import Kind
from acclimate_shared.rollout_reports import DeviceState
from tests.hub.rollout.fleet import COHORT
from tests.hub.rollout.world import World
from tests.shared.messages.samples import BLOCK, METRICS, STATUS, wrapped


def test_a_message_becomes_a_report_that_is_ordered_by_starts_and_sequence() -> None:
    boots = [heard(wrapped(STATUS, boot=f"{starts:08x}ffffffff", sequence=7)) for starts in (1, 2, 16)]
    assert [(one.boot, one.seq) for one in boots if one] == [(1, 7), (2, 7), (16, 7)]
    report, block = heard(wrapped(STATUS)), heard(wrapped(BLOCK))
    for made, said in ((report, STATUS), (block, BLOCK)):
        assert made is not None
        assert made.device == "gw-1"
        same = set(said.__struct_fields__) - {"chunks", "chunks_total"}
        assert {name: getattr(made, name) for name in same} == {name: getattr(said, name) for name in same}
    assert heard(wrapped(METRICS)) is None


def test_a_device_cannot_say_what_only_the_hub_knows() -> None:
    for state in (DeviceState.PENDING, DeviceState.OFFLINE):
        with pytest.raises((MessageError, ValueError), match="does not say"):
            encode(wrapped(msgspec.structs.replace(STATUS, state=state)), Kind.UP)


def test_what_a_rollout_wants_survives_the_wire() -> None:
    document = machine.desired(World().started().rollout, COHORT)
    assert checked(document) == document
    assert decode(encode(wrapped(document), Kind.DESIRED), Kind.DESIRED).body == document


@pytest.mark.parametrize("change", [{"rollout": "a/b"}, {"salt": ""}, {"digest": "x"}, {"serve": 101.0}])
def test_what_could_not_be_told_is_refused_before_it_is_kept(change: dict[str, object]) -> None:
    document = machine.desired(World().started().rollout, COHORT)
    with pytest.raises(InputError):
        checked(msgspec.structs.replace(document, **change))
