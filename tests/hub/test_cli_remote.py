"""The commands against a hub that is served with TLS: what an operator types on another machine."""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvicorn
from click.testing import CliRunner, Result

from acclimate_hub.cli import main
from acclimate_hub.hub import Hub
from acclimate_hub.identity import api_tokens
from acclimate_hub.serve import Plan, application
from acclimate_hub.store import audit, devices
from acclimate_shared.bundle import digest_of
from tests.bundles import bundle_bytes
from tests.hub.author_folder import signed
from tests.hub.servers import free_port, wait_until

DATA = bundle_bytes()
SCOPES = ("viewer", "operator", "releaser", "admin")


@dataclass(frozen=True)
class Site:
    """A hub that is served, and the folder of somebody elsewhere: tokens of every scope and the authority."""

    hub: Hub
    url: str
    folder: Path
    tokens: dict[str, str]

    def run(self, *words: str, scope: str = "admin", **env: str) -> Result:
        place = self.folder / "elsewhere"
        start = ["--data", str(place / "none"), "--hub", self.url, "--ca", str(place / "ca.crt"), *words]
        given = {"ACCLIMATE_HUB_TOKEN": self.tokens[scope], **env}
        result = CliRunner().invoke(main, start, env=given)
        assert "Traceback" not in result.output
        for token in self.tokens.values():
            assert token not in result.output
        assert not (place / "none").exists()
        return result

    def json(self, *words: str, scope: str = "admin") -> object:
        result = self.run(*words, "--json", scope=scope)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def acts(self) -> list[tuple[str, str]]:
        with self.hub.database.read() as connection:
            return [(one.actor, one.action) for one in audit.entries(connection, "main", 0, 1000)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hub")
    hub = Hub.create(f"sqlite:///{folder}/hub.db", folder / "secret", time.time)
    hub.create_tenant("main", "test")
    tokens = {}
    with hub.database.write() as connection:
        for scope in SCOPES:
            wish = api_tokens.Wish(name=scope, scope=scope, expires_s=hub.now() + 1e4)
            tokens[scope] = api_tokens.create(connection, "main", wish, "test", hub.now()).text
        for at in range(3):
            devices.create(connection, "main", f"gw-{at}", "default", hub.now())
    authority = hub.authority("main")
    service = authority.service("broker", hub.now(), ["localhost"])
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "ca.crt").write_text(authority.certificate)
    (folder / "api.crt").write_text(service.certificate.pem)
    (folder / "api.key").write_text(service.key)
    plan = Plan(
        host="127.0.0.1", port=0, tenant="main", broker="", certificates=folder, least_devices=20, data=folder,
        certificate=folder / "api.crt", key=folder / "api.key",
    )  # fmt: skip
    config = uvicorn.Config(
        application(hub, plan), host=plan.host, port=0, log_level="error", ws="none", lifespan="off",
        ssl_certfile=plan.certificate, ssl_keyfile=plan.key,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(hub, f"https://localhost:{port}", folder, tokens)
    server.should_exit = True
    thread.join()
    hub.close()


def test_from_a_signature_to_the_end_of_a_rollout(site: Site, tmp_path: Path) -> None:
    shelf = site.hub.shelf("main", site.folder)
    folder = signed(tmp_path, shelf.keys / "snapshot.pub.json", shelf.keys / "timestamp.pub.json", DATA)
    digest = digest_of(DATA)
    refused = site.run("release", "publish", str(folder), scope="operator")
    assert (refused.exit_code, "use a token of scope releaser" in refused.output) == (1, True)
    assert shelf.listed() == []
    for _ in range(2):
        done = site.run("release", "publish", str(folder), scope="releaser")
        assert (done.exit_code, digest in done.output) == (0, True), done.output
    assert shelf.chunk(digest, 0) == DATA[: 1 << 16]
    assert [one.digest for one in shelf.listed()] == [digest]
    named = site.run(
        "alias", "point", "stable", "counter:1.0", "--why", "the first", "--version", "0", scope="releaser"
    )
    assert named.stdout == f"stable means {digest}\n", named.output
    refused = site.run("alias", "point", "stable", "stable", "--why", "x", scope="operator")
    assert (refused.exit_code, "scope releaser" in refused.output) == (1, True)
    assert site.json("alias", "list")[0]["release"] == digest  # type: ignore[index]
    assert digest in site.run("alias", "show", "stable", scope="viewer").stdout
    back = site.run("alias", "roll-back", "stable", "--why", "slow")
    assert (back.exit_code, "nothing to go back to" in back.output) == (1, True)
    done = site.run("rollout", "draft", "r1", "--digest", digest, scope="releaser")
    assert done.stdout == "r1 is drafted: 4 waves\n", done.output
    alone = site.run("rollout", "approve", "r1", "--why", "mine", scope="releaser")
    assert (alone.exit_code, "author may not" in alone.output) == (1, True)
    seen = str(site.json("rollout", "show", "r1")["rollout"]["version"])  # type: ignore[index]
    for action, phase in (("approve", "approved"), ("start", "wave"), ("pause", "paused"), ("abort", "aborted")):
        done = site.run("rollout", action, "r1", "--why", "it is time")
        assert done.stdout == f"r1: {phase}\n", done.output
    late = site.run("rollout", "retry", "r1", "--why", "again", "--version", seen)
    assert (late.exit_code, f"[version = {seen}]" in late.output) == (1, True)
    assert "Aborted: it is time" in site.run("rollout", "show", "r1", scope="viewer").stdout
    assert "r1  aborted" in site.run("rollout", "list", scope="viewer").stdout
    ids = {scope: token.split("_")[2] for scope, token in site.tokens.items()}
    acts = [act for act in site.acts() if act[1].startswith(("release", "alias", "rollout"))]
    wanted = [("releaser", word) for word in ("release.publish", "alias.point", "rollout.draft")]
    wanted += [("admin", f"rollout.{word}") for word in ("approve", "start", "pause", "abort")]
    assert acts == [(f"api:{ids[scope]}", action) for scope, action in wanted]


def test_what_was_changed_after_it_was_signed_is_not_taken(site: Site, tmp_path: Path) -> None:
    shelf, other = site.hub.shelf("main", site.folder), bundle_bytes(7, name="other")
    folder = signed(tmp_path, shelf.keys / "snapshot.pub.json", shelf.keys / "timestamp.pub.json", other)
    (targets,) = (folder / "metadata").glob("*2.targets.json")
    targets.write_bytes(targets.read_bytes().replace(digest_of(other).encode(), b"0" * 64))
    before = shelf.listed()
    done = site.run("release", "publish", str(folder), scope="releaser")
    assert done.exit_code == 1, done.output
    assert shelf.listed() == before


def test_devices_and_cohorts(site: Site) -> None:
    assert (
        site.run("cohort", "create", "shop", "--criticality", "2", scope="operator").stdout == "cohort shop is made\n"
    )
    assert "shop     2" in site.run("cohort", "list", scope="viewer").stdout
    assert site.run("device", "move", "gw-1", "shop", scope="operator").stdout == "device.move gw-1\n"
    found = site.json("device", "list", "--cohort", "shop", scope="viewer")
    assert [one["device"] for one in found] == ["gw-1"]  # type: ignore[attr-defined]
    assert site.run("device", "revoke", "gw-2", scope="operator").stdout == "device.revoke gw-2\n"
    assert site.json("device", "show", "gw-2")["revoked_s"]  # type: ignore[index]
    assert site.run("device", "readmit", "gw-2", scope="operator").exit_code == 0
    assert site.run("device", "list", scope="viewer").stdout.startswith("gw-0  default  False  -")
    assert site.json("device", "metrics", "gw-0", "accuracy", scope="viewer")["buckets"] == []  # type: ignore[index]
    few = site.run("cohort", "metrics", "default", "accuracy", scope="viewer")
    assert (few.exit_code, "[cohort = 'default']; a view needs 20 devices" in few.stderr) == (1, True)


def test_credentials(site: Site) -> None:
    text = site.run("claim", "create", "--uses", "3", scope="operator").stdout.strip()
    assert text.startswith("acc_claim_")
    assert text not in site.run("claim", "list", scope="operator").stdout
    assert site.run("claim", "revoke", text.split("_")[2], scope="operator").exit_code == 0
    made = site.run("token", "create", "--name", "ann", "--scope", "operator").stdout.strip()
    assert site.run("device", "list", ACCLIMATE_HUB_TOKEN=made).exit_code == 0
    assert site.run("token", "revoke", made.split("_")[2]).exit_code == 0
    assert site.run("device", "list", ACCLIMATE_HUB_TOKEN=made).exit_code == 1
    assert "ann" in site.run("token", "list").stdout
    assert site.json("certificate", "list") == []
    assert site.run("certificate", "revoked", scope="operator").stdout.startswith("-----BEGIN X509 CRL-----\n")


def test_records(site: Site) -> None:
    assert site.json("lineage", "list", "--device", "gw-0") == []
    for words in (("lineage", "show", "d" * 64), ("lineage", "devices", "d" * 64)):
        assert site.run(*words).exit_code in {0, 1}
    line = site.run("audit", "verify", scope="viewer").stdout.split()
    assert line[1:3] == ["entries,", "head"]
    assert site.run("audit", "verify", "--head", line[-1]).exit_code == 0
    wrong = site.run("audit", "verify", "--head", "0" * 64)
    assert (wrong.exit_code, "never had this head" in wrong.output) == (1, True)
    first, *_ = site.json("audit", "list", "--after", "0")  # type: ignore[misc]
    assert (first["place"], first["action"]) == (1, "tenant.create")  # type: ignore[has-type]


def test_the_same_key_again_is_done_once(site: Site) -> None:
    words = ("--idempotency-key", "k-1", "cohort", "create", "once", "--json")
    first, again = (site.run(*words, scope="operator") for _ in range(2))
    assert (first.exit_code, first.stdout) == (again.exit_code, again.stdout) == (0, first.stdout)
    plain = site.run("cohort", "create", "once", scope="operator")
    assert (plain.exit_code, "[cohort = 'once']" in plain.output) == (1, True)
    other = site.run(*words[:-2], "other", scope="operator")
    assert (other.exit_code, "used for another request" in other.output) == (1, True)
    key = {"Idempotency-Key": "k-2", "Authorization": f"Bearer {site.tokens['operator']}"}
    wish = {"expires_s": time.time() + 99}
    trust = ssl.create_default_context(cafile=site.folder / "elsewhere" / "ca.crt")
    with httpx2.Client(base_url=f"{site.url}/api/v1", headers=key, verify=trust) as plain_client:
        codes = [plain_client.post("/claims", json=wish).status_code for _ in range(2)]
    assert codes == [201, 409]  # a secret is shown once


@pytest.mark.parametrize("token", ["acc_api_0123456789abcdef_" + "x" * 43, "nonsense"])
def test_a_wrong_token(site: Site, token: str) -> None:
    done = site.run("device", "list", ACCLIMATE_HUB_TOKEN=token)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "a valid token is needed [Authorization]; put a valid token into ACCLIMATE_HUB_TOKEN" in done.stderr
    assert token not in done.stderr


def test_no_token_and_one_that_others_may_read(site: Site, tmp_path: Path) -> None:
    none = site.run("device", "list", ACCLIMATE_HUB_TOKEN="")
    assert (none.exit_code, "there is no token" in none.stderr) == (1, True)
    file = tmp_path / "token"
    file.write_text(site.tokens["viewer"] + "\n")
    file.chmod(0o644)
    words = ("--token-file", str(file), "device", "list")
    shown = site.run(*words, ACCLIMATE_HUB_TOKEN="")
    assert (shown.exit_code, f"chmod 600 {file}" in shown.stderr) == (1, True)
    file.chmod(0o600)
    assert site.run(*words, ACCLIMATE_HUB_TOKEN="").exit_code == 0


@pytest.mark.parametrize(
    ("words", "scope", "needed"),
    [
        (("device", "revoke", "gw-0"), "viewer", "operator"),
        (("rollout", "abort", "r9", "--why", "x"), "viewer", "operator"),
        (("rollout", "draft", "r9", "--digest", "d" * 64), "operator", "releaser"),
        (("token", "create", "--name", "x"), "releaser", "admin"),
    ],
)
def test_a_scope_that_is_not_enough(site: Site, words: tuple[str, ...], scope: str, needed: str) -> None:
    before = site.acts()
    done = site.run(*words, scope=scope)
    assert done.exit_code == 1
    assert f"the token may not do this [scope = '{scope}']; use a token of scope {needed}" in done.stderr
    assert site.acts() == before


def test_a_hub_that_is_not_there(site: Site) -> None:
    done = site.run("--hub", f"https://localhost:{free_port()}", "device", "list")
    assert (done.exit_code, "cannot be reached" in done.stderr) == (3, True)


def test_a_hub_that_does_not_answer(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}"
        began = time.monotonic()
        done = site.run("--hub", url, "--timeout", "1", "device", "list")
    assert (done.exit_code, "did not answer within 0.5 s" in done.stderr) == (3, True)
    assert time.monotonic() - began < 5


def test_a_certificate_of_nobody_known_gets_no_token(site: Site, tmp_path: Path) -> None:
    stranger = Hub.create(f"sqlite:///{tmp_path}/other.db", tmp_path / "secret", time.time)
    stranger.create_tenant("main", "test")
    (tmp_path / "other.crt").write_text(stranger.authority("main").certificate)
    stranger.close()
    refused = site.hub.database
    with refused.read() as connection:
        before = audit.head(connection, "main")
    for words in (("--ca", str(tmp_path / "other.crt")), ("--hub", site.url.replace("localhost", "127.0.0.1"))):
        done = site.run(*words, "cohort", "create", "stolen")
        assert (done.exit_code, "is not trusted" in done.stderr) == (3, True), done.output
    with refused.read() as connection:
        assert audit.head(connection, "main") == before
    broken = site.run("--ca", str(tmp_path / "secret"), "device", "list")
    assert (broken.exit_code, "authority cannot be read: " in broken.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--who", "ann", "device", "list"), "over --hub the token says that [who = 'ann']"),
        (("--tenant", "other", "device", "list"), "over --hub the token says that [tenant = 'other']"),
        (("init",), "on the hub's own machine"),
        (("release", "keys"), "on the hub's own machine"),
        (("backup", "copy.gz"), "on the hub's own machine"),
        (("restore", "copy.gz"), "on the hub's own machine"),
        (("--hub", "http://hub.example", "device", "list"), "a token is not sent in the clear"),
        (("claim", "create", "--uses", "0"), "[body.max_uses = 0]"),
    ],
)
def test_what_makes_no_sense_over_a_network(site: Site, words: tuple[str, ...], says: str) -> None:
    done = site.run(*words)
    assert (done.exit_code, says in done.stderr) == (2, True), done.output


def test_what_is_logged_names_no_token(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert site.run("--verbose", "device", "list").exit_code == 0
    assert "GET" in caplog.text  # requests are logged, without what they carry
    assert site.tokens["admin"] not in caplog.text
