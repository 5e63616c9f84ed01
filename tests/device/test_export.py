"""A state as one file: all of it arrives bit for bit, nobody else reads it, and whatever is changed is found."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from acclimate_device import join
from acclimate_device.agent import Agent
from acclimate_device.cli import main
from acclimate_device.control import contest_of, lineage_of, reopen
from acclimate_device.export import MAGIC, export, import_state
from acclimate_device.export_crypto import fingerprint, new_signer, opened, public_of, sealed
from acclimate_device.outside import name_of_base
from acclimate_device.slot import Slot, Slots
from acclimate_device.slots import Bases
from acclimate_shared.errors import AcclimateError, CorruptStateError, StateMismatchError, UsageError
from tests.bundles import NEEDS
from tests.device.durability.moments import OPTIONS, bits
from tests.device.test_agent import events, taught
from tests.graphs import counter

SECRET = "correct horse battery"  # noqa: S105


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with a prediction that waits."""
    agent = taught(Agent(**OPTIONS, state=tmp_path / "state"), events(90))
    agent.predict(events(91)[90][0], event_id="waits")
    agent.close()
    return tmp_path / "state"


def test_everything_arrives_and_goes_on(state: Path, tmp_path: Path) -> None:
    told = export(state, tmp_path / "a.acclimate", SECRET)
    found = import_state(tmp_path / "a.acclimate", tmp_path / "new", SECRET, signer=told["signer"])
    assert (found["learned"], found["signer"]) == (90, told["signer"])
    assert list(lineage_of(tmp_path / "new")) == list(lineage_of(state))
    with Agent(**OPTIONS, state=state) as old, Agent(**OPTIONS, state=tmp_path / "new") as new:
        assert bits(new) == bits(old)
        for agent in (old, new):
            agent.feedback("waits", "class1")
            taught(agent, events(130)[91:])
        assert bits(new) == bits(old)
    assert contest_of(tmp_path / "new")["champion"]


def test_what_waits_on_the_disk_and_the_bases_arrive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "MOST_WAITING_BYTES", 24 * 2**10)
    bases = Bases(tmp_path / "state")
    bases.install("1" * 64, counter(), model="pump", version="1.0", needs=NEEDS)
    rows = events(120)
    with Agent(**OPTIONS, state=tmp_path / "state", bases=bases.begin()) as agent:
        for at, (row, label) in enumerate(rows):
            agent.predict(row, event_id=f"-{at}")
            if at >= 80:
                agent.feedback(f"-{at - 80}", label)
        assert agent.status()["waiting_on_disk"] > 20
    bases.end()
    told = export(tmp_path / "state", tmp_path / "a", SECRET)
    import_state(tmp_path / "a", tmp_path / "new", SECRET, signer=told["signer"])
    assert Bases(tmp_path / "new").read() == bases.read()
    assert Bases(tmp_path / "new").needs("1" * 64) == NEEDS
    with reopen(tmp_path / "new") as new, reopen(tmp_path / "state") as old:
        assert list(new.health()) == [name_of_base("1" * 64)]
        for agent in (old, new):
            for at in range(40, 120):
                agent.feedback(f"-{at}", rows[at][1])
            assert (agent.status()["forgotten"], agent.status()["learned"]) == (0, 120)
        assert new.status()["weights"] == old.status()["weights"]  # the base answers when it does


def test_a_base_that_would_be_written_elsewhere_is_refused(tmp_path: Path) -> None:
    slot = Slot(digest="../../away", model="pump", version="1.0")
    for slots, packages in ((Slots(other=slot), {}), (Slots(), {"../away": counter()})):
        with pytest.raises(CorruptStateError, match="digest"):
            Bases(tmp_path / "state").put(slots, packages)
    assert list(tmp_path.iterdir()) == []


def test_the_same_state_is_signed_by_the_same_key_and_never_sealed_alike(state: Path, tmp_path: Path) -> None:
    first, second = (export(state, tmp_path / name, SECRET) for name in ("a", "b"))
    assert first["signer"] == second["signer"]
    a, b = ((tmp_path / name).read_bytes() for name in ("a", "b"))
    assert a[len(MAGIC) + 32 :] != b[len(MAGIC) + 32 :]
    for plain in (b"class1", b"columns", b"softmax", b"kind"):
        assert plain not in a


def test_other_passphrases_other_signers_and_other_files_are_refused(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "a"
    export(state, file, SECRET)
    with pytest.raises(CorruptStateError, match="passphrase"):
        import_state(file, tmp_path / "n", "another passphrase")
    with pytest.raises(UsageError, match="somebody else"):
        import_state(file, tmp_path / "n", SECRET, signer="0" * 32)
    with pytest.raises(UsageError, match="too short"):
        export(state, tmp_path / "b", "short")
    with pytest.raises(UsageError, match="a file already"):
        export(state, file, SECRET)
    with pytest.raises(UsageError, match="a state here already"):
        import_state(file, state, SECRET)
    (tmp_path / "c").write_bytes(b"no state" * 100)
    with pytest.raises(CorruptStateError, match="no exported state"):
        import_state(tmp_path / "c", tmp_path / "n", SECRET)
    with pytest.raises(UsageError, match="cannot be read"):
        import_state(tmp_path / "nowhere", tmp_path / "n", SECRET)
    assert not (tmp_path / "n").exists()


def test_one_changed_byte_anywhere_is_found(state: Path, tmp_path: Path) -> None:
    export(state, tmp_path / "a", SECRET)
    data = (tmp_path / "a").read_bytes()
    for at in [*range(0, 120, 7), *range(120, len(data), len(data) // 40), len(data) - 1]:
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(AcclimateError):
            opened(bytes(changed), magic=MAGIC, passphrase=SECRET, wanted=None)
    for cut in (0, 10, 90, len(data) // 2, len(data) - 1):
        with pytest.raises(AcclimateError):
            opened(data[:cut], magic=MAGIC, passphrase=SECRET, wanted=None)


def test_a_body_that_makes_no_sense_leaves_nothing_behind(tmp_path: Path) -> None:
    signer = new_signer()
    assert len(fingerprint(public_of(signer))) == 32
    for body, error in ((b"nonsense", CorruptStateError), (b"\x95\x63\x80\x80\x80\x90", StateMismatchError)):
        (tmp_path / "a").write_bytes(sealed(body, magic=MAGIC, passphrase=SECRET, signer=signer))
        with pytest.raises(error):
            import_state(tmp_path / "a", tmp_path / "n", SECRET)
        assert not (tmp_path / "n").exists()


def test_the_commands(state: Path, tmp_path: Path) -> None:
    runner, secret = CliRunner(), tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    options = ["--passphrase-file", str(secret)]
    done = runner.invoke(main, ["export", str(state), str(tmp_path / "a"), *options])
    assert done.exit_code == 0, done.output
    signer = done.output.split()[-1]
    done = runner.invoke(main, ["import", str(tmp_path / "a"), str(tmp_path / "n"), *options, "--signer", signer])
    assert done.exit_code == 0, done.output
    assert "90 labels learned" in done.output
    done = runner.invoke(main, ["import", str(tmp_path / "a"), str(tmp_path / "n"), *options])
    assert done.exit_code == 2
    done = runner.invoke(main, ["export", str(state), str(tmp_path / "b")], env={"ACCLIMATE_PASSPHRASE": SECRET})
    assert done.exit_code == 0, done.output
