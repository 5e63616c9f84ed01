import html
import re
from typing import Any

import pytest
from sqlalchemy import update

from acclimate_hub import limits
from acclimate_hub.api.app import create
from acclimate_hub.pages.views import ACTIONS, ServiceDesk, in_memory
from acclimate_hub.rollout import Phase, Rollout
from acclimate_hub.rollout.machine import possible
from acclimate_hub.store import audit, devices, tables, tenants
from acclimate_hub.store.audit import Act
from acclimate_shared.errors import InputError, UsageError
from acclimate_shared.messages import up
from acclimate_shared.rollout_reports import DeviceState
from acclimate_shared.waves import Stage
from tests.hub.pages.markup import Walk
from tests.hub.pages.scene import LAST, OLDER, ROLLOUT, Scene, rollout_url, token_of
from tests.hub.rollout.fleet import NEW, OLD, small_plan

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='x",
    "{{ 7 * 7 }}",
    "a/b?c#d&e",
]


def text(page: str) -> str:
    """Return what a person reads of a page."""
    body = re.sub(r"<[^>]*>", " ", page.partition("<main")[2])
    return " ".join(html.unescape(body).split())


def acts(scene: Scene) -> list[audit.Entry]:
    with scene.hub.database.read() as connection:
        return audit.entries(connection, "main", 0, 500)


def do(client: Any, action: str, why: str = "because", url: str = "") -> Any:
    form = token_of(client.get(url or rollout_url()).text)
    return client.post(url or rollout_url(), data={"form": form, "action": action, "why": why})


def test_the_fleet_at_a_glance(lively: Scene) -> None:
    said = text(lively.signed_in("viewer").get("/ui/").text)
    assert "8 enrolled" in said
    assert "5 Online 1 Offline 1 Silent 1 Never seen 0 Revoked" in said
    assert "forecast 1.1" in said
    assert "spring-base in progress" in said
    assert "promoted a challenger 1.6" in said
    assert "alias.point stable by cli" in said
    assert "Shown: accuracy of committee" in said


def test_a_small_cohort_shows_no_scores(lively: Scene) -> None:
    said = text(lively.signed_in().get("/ui/").text)
    assert re.search(r"default 6 4 1 0 0\.89", said)
    assert "shop 2 1 0 2 hidden: fewer than 3 devices" in said


def test_devices_are_found_by_name_and_cohort_and_paged(lively: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lively.signed_in()

    def listed(page: Any) -> list[str]:
        return re.findall(r'/ui/devices/([^"]+)"', page.text)

    assert listed(client.get("/ui/devices")) == [f"gw-{at}" for at in range(8)]
    assert listed(client.get("/ui/devices?cohort=shop")) == ["gw-3", "gw-7"]
    assert listed(client.get("/ui/devices?start=gw-5")) == ["gw-5"]
    assert listed(client.get("/ui/devices?start=%25")) == listed(client.get("/ui/devices?start=g_")) == []
    assert "No device fits" in client.get("/ui/devices?start=nothing").text
    monkeypatch.setattr(limits, "PAGE_ROWS", 5)
    first = client.get("/ui/devices?start=gw")
    more = html.unescape(re.findall(r'rel="next" href="([^"]+)"', first.text)[0])
    assert listed(client.get(more)) == ["gw-5", "gw-6", "gw-7"]


def test_a_device_shows_contest_drift_twin_and_timeline(lively: Scene) -> None:
    page = lively.signed_in().get("/ui/devices/gw-0").text
    said = text(page)
    assert "differs waits for memory" in said
    assert "The new base is to run in shadow; the previous model answers." in said
    assert "committee champion 0.88" in said
    assert "mlp challenger" in said
    assert "Log of evidence 3.28 of 5.30 after 14,720 labels" in said
    assert "adwin on loss 1 alarm in 640 looks" in said
    assert "Learned from 1,024 labels versions 1.4 to 1.5, 2 commits" in said
    assert "A challenger took over version 1.6, gain +0.013" in said
    assert page.count('class="chart"') == 2
    assert 'class="limit"' in page
    assert page.count('class="node') == 7
    assert "in agreement" in text(lively.signed_in().get("/ui/devices/gw-1").text)


def test_a_device_shows_how_its_inputs_are_spread_those_that_shifted_first(lively: Scene) -> None:
    page = lively.signed_in().get("/ui/devices/gw-0").text
    said = text(page)
    at = said.index("Inputs load")
    assert re.match(r"Inputs load shift 1\.\d\d · 500 events", said[at:])
    assert "heat of <b>pump</b> shift 0.00 · 500 events" in said
    assert page.count('class="bins"') == 2
    assert "above 0.25 to 0.5: 70 events" in page
    assert page.index("pill warn") < page.index("heat of &lt;b&gt;pump")


def test_inputs_of_a_release_that_is_not_known_here_have_numbers(lively: Scene) -> None:
    counts = (up.FeatureCounts(feature=7, counts=(20, 20)),)
    lively.hear("gw-1", up.Metrics(start_s=0.0, end_s=lively.now_s, schema="c" * 64, features=counts, bins="c" * 64))
    page = lively.signed_in().get("/ui/devices/gw-1").text
    assert "feature 7" in text(page)
    assert "bin 1: 20 events" in page
    lively.hear("gw-1", up.Metrics(start_s=0.0, end_s=lively.now_s + 1, schema="c" * 64))
    assert 'id="inputs"' not in lively.signed_in().get("/ui/devices/gw-1").text


@pytest.mark.parametrize(
    ("acted", "words"),
    [
        ("pause", "The rollout is paused. The new base is to run in shadow"),
        ("abort", "The rollout has ended: the previous model is to answer."),
    ],
)
def test_the_twin_follows_the_rollout(lively: Scene, acted: str, words: str) -> None:
    client = lively.signed_in()
    assert do(client, acted).status_code == 303
    assert words in text(client.get("/ui/devices/gw-1").text)


def test_the_twin_of_a_served_device_and_of_one_that_is_not_asked(lively: Scene) -> None:
    while lively.rollouts.get(ROLLOUT).wave < 1:
        lively.round()
    document = lively.rollouts.desired(ROLLOUT, "default")
    client = lively.signed_in()
    asked = {f"gw-{at}": document.asks(f"gw-{at}") for at in range(6)}
    for device, stage in asked.items():
        said = text(client.get(f"/ui/devices/{device}").text)
        assert ("The new base is to answer." in said) is (str(stage) == "serve")
    assert {str(stage) for stage in asked.values()} == {"serve", "shadow"}


def test_an_update_that_failed_is_on_the_timeline(lively: Scene) -> None:
    status = up.RolloutReport(
        rollout="r1",
        attempt=1,
        stage=Stage.SHADOW,
        state=DeviceState.FAILED,
        digest=OLD,
        reason="signature-refused",
        chunks=3,
        chunks_total=9,
    )
    lively.hear("gw-1", status)
    said = text(lively.signed_in().get("/ui/devices/gw-1").text)
    assert "Update: failed: signature-refused rollout r1, shadow, 3 of 9 chunks; cccccccccccc answers" in said


def test_releases_show_descent_names_and_how_many_carry_them(lively: Scene) -> None:
    page = lively.signed_in().get("/ui/releases").text
    said = text(page)
    assert "forecast 1.1 stable cccccccccccc" in said
    assert "forecast 1.1 · stable 3 devices" in said
    assert "forecast 1.0 5 devices" in said
    assert page.count('class="edge"') == 4
    for digest in (NEW, OLD, OLDER):
        assert f'href="#r-{digest}"' in page
        assert f'id="r-{digest}"' in page


def test_a_rollout_is_explained_with_bars_for_every_piece_of_evidence(lively: Scene) -> None:
    page = lively.signed_in().get(rollout_url()).text
    said = text(page)
    assert "Wave 1 of 4 is in progress: waiting for" in said
    assert "100 % of every cohort runs the base in shadow" in said
    assert "Loss against the champion's" in said
    assert "The rollout ends when it is shown that" in said
    assert page.count('class="bar"') == 5
    assert page.count('class="mark"') == 5
    assert "gw-5" in said
    assert "the numbers of the trial are good" in said


def test_scopes_decide_which_buttons_are_there_and_whether_they_work(lively: Scene) -> None:
    viewer, operator = lively.signed_in("viewer"), lively.signed_in("operator")
    page = viewer.get(rollout_url()).text
    assert "<summary" not in page
    assert "Stop" not in text(page)
    form = token_of(page)  # of the way out
    for action in ACTIONS:
        answer = viewer.post(rollout_url(), data={"form": form, "action": action, "why": "x"})
        assert answer.status_code == 403, action
        assert "the token may not do this" in answer.text
    assert lively.rollouts.get(ROLLOUT).phase is Phase.WAVE
    assert re.findall(r"<summary>(.*?)</summary>", operator.get(rollout_url()).text) == [
        "Pause",
        "Retry failed",
        "Stop",
    ]


def test_every_step_of_a_rollout_is_taken_on_its_page_and_recorded(settled: Scene) -> None:
    scene = settled
    scene.draft()
    operator, releaser = scene.signed_in("operator"), scene.signed_in("releaser")
    assert do(operator, "approve").status_code == 403
    phases = {"approve": Phase.APPROVED, "start": Phase.WAVE, "pause": Phase.PAUSED, "resume": Phase.WAVE,
              "retry": Phase.WAVE, "abort": Phase.ABORTED}  # fmt: skip
    for action, phase in phases.items():
        client = releaser if action in {"approve", "start"} else operator
        answer = do(client, action, f"why {action}")
        assert answer.status_code == 303, answer.text
        assert ACTIONS[action].done in html.unescape(client.get(answer.headers["location"]).text)
        assert scene.rollouts.get(ROLLOUT).phase is phase
    done = [entry for entry in acts(scene) if entry.action.startswith("rollout.")]
    assert [entry.action for entry in done] == [f"rollout.{action}" for action in phases]
    assert done[-1].detail == '{"why":"why abort"}'
    assert done[-1].actor == f"api:{scene.tokens['main:operator'].split('_')[2]}"
    assert "operator-of-main" in text(operator.get(rollout_url()).text)


def test_what_is_not_possible_any_more_is_said_and_not_recorded(lively: Scene) -> None:
    client = lively.signed_in("operator")
    assert do(client, "abort", why="").status_code == 303
    assert list(lively.store.transitions(ROLLOUT))[-1].why == "no reason given"
    before = len(acts(lively))
    answer = do(client, "abort")
    assert answer.status_code == 409
    assert "cannot abort this rollout" in answer.text
    assert do(client, "fly").status_code == 400
    assert do(client, "abort", url="/ui/rollouts/nothing").status_code in {403, 404}
    assert len(acts(lively)) == before


def test_a_desk_that_writes_the_log_itself_is_not_doubled(lively: Scene) -> None:
    desk = ServiceDesk(lively.rollouts, lively.store, audits=True)
    lively.app = create(lively.hub, desks=lambda _tenant: desk)
    client = lively.signed_in()
    before = len(acts(lively))
    assert do(client, "pause").status_code == 303
    assert len(acts(lively)) == before


def test_every_action_of_people_is_known_to_the_machine_and_the_desk() -> None:
    everything = {action for phase in Phase for action in possible(phase)}
    assert set(ACTIONS) == everything - {"advance"}
    with pytest.raises(UsageError, match="no such action"):
        in_memory(lambda: 0.0)("main").act("advance", "r", "ann", "x")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are_and_do_nothing(settled: Scene, name: str) -> None:
    scene = settled
    with scene.hub.database.write() as connection:
        tenants.create_cohort(connection, "main", name, 1, scene.now_s)
        devices.create(connection, "main", name, name, scene.now_s)
        connection.execute(update(tables.api_tokens).values(name=name))
        audit.record(connection, "main", Act(actor=name, action="x", object=name, detail={name: name}), scene.now_s)
        connection.execute(update(tables.releases).where(tables.releases.c.digest == NEW).values(name=name))
    plan = {"digest": NEW, "previous": OLD, "salt": "s", "cohorts": ("default",)}
    with pytest.raises(InputError):  # the service refuses such a name; the pages must not rely on it
        scene.rollouts.create(name, small_plan(), author=name, **plan)  # type: ignore[arg-type]
    scene.store.swap(Rollout(id=name, author=name, plan=small_plan(), **plan), None)  # type: ignore[arg-type]
    client = scene.signed_in("admin")
    url = rollout_url(name)
    assert do(client, "approve", name, url).status_code == 303
    assert do(client, "start", name, url).status_code == 303
    device_url = url.replace("rollouts", "devices")
    for place in ("/ui/", "/ui/devices", f"/ui/devices?start={url.rpartition('/')[2]}", device_url, "/ui/releases",
                  "/ui/rollouts", url, "/ui/audit"):  # fmt: skip
        page = client.get(place)
        assert page.status_code == 200, place
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        walk = Walk()
        walk.feed(page.text)
        assert walk.bad == []
        assert " 49 " not in text(page.text)
        assert name in html.unescape(page.text), place
    for place in (device_url, url):
        links = set(
            re.findall(
                r'href="(/ui/(?:devices|rollouts)/[^"]+)"',
                client.get("/ui/devices").text + client.get("/ui/rollouts").text,
            )
        )
        assert place in {html.unescape(link) for link in links}


def test_nothing_there_yet_tells_what_to_do(scene: Scene) -> None:
    client = scene.signed_in()
    assert "acclimate-hub claim" in client.get("/ui/").text
    assert "acclimate-hub claim" in client.get("/ui/devices").text
    assert "acclimate-author release" in client.get("/ui/releases").text
    assert "drafted over the API" in client.get("/ui/rollouts").text
    scene.enrol("gw-1")
    said = text(client.get("/ui/devices/gw-1").text)
    assert "Never seen" in said
    assert "No rollout asks anything of it." in said
    assert "No scores yet." in said
    scene.hear("gw-1", up.State(online=True, agent="0.4.0", cohort="default"))
    scene.hear("gw-1", LAST)
    assert "No detector has reported yet." in text(client.get("/ui/devices/gw-1").text)


def test_the_chain_of_the_audit_log_is_checked(lively: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    client = lively.signed_in("viewer")
    assert "intact All" in text(client.get("/ui/audit").text)
    monkeypatch.setattr(limits, "AUDIT_CHECK_ROWS", 3)
    assert "more than a page checks unasked" in text(client.get("/ui/audit").text)
    assert "intact All" in text(client.get("/ui/audit?check=1").text)
    with lively.hub.database.write() as connection:
        connection.execute(update(tables.audit).where(tables.audit.c.place == 2).values(actor="somebody else"))
    assert "The log was changed. row 2" in text(client.get("/ui/audit?check=1").text)


def test_the_audit_log_is_paged_from_its_end(lively: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_ROWS", 4)
    client, place, found = lively.signed_in(), "/ui/audit", []
    while place:
        page = client.get(place).text
        found += [int(at) for at in re.findall(r'scope="row" class="num">(\d+)<', page)]
        more = re.findall(r'rel="next" href="([^"]+)"', page)
        place = more[0] if more else ""
    assert found == list(range(len(acts(lively)), 0, -1))
    assert client.get("/ui/audit?before=x").status_code == 200


def test_who_has_the_page_already_is_told_so_in_a_few_bytes(lively: Scene) -> None:
    client = lively.signed_in()
    tag = client.get(rollout_url()).headers["etag"]
    again = client.get(rollout_url(), headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    lively.round()
    assert client.get(rollout_url(), headers={"If-None-Match": tag}).status_code == 200


def test_errors_are_pages(lively: Scene) -> None:
    client = lively.signed_in()
    for place, status, says in (
        ("/ui/devices/nobody", 404, "there is no such device"),
        ("/ui/rollouts/nothing", 404, "no such rollout"),
        ("/ui/nowhere", 404, "There is no such page."),
    ):
        answer = client.get(place)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert says in answer.text
