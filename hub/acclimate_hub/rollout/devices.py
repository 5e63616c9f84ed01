"""What the report of a device makes of its row.

A device is believed about itself, and about nothing else: *success* is its own report that the base of this rollout
has answered on it for the whole probation. A device that says "running" while it runs something else, or before its
probation is over, has not succeeded, whatever became of the download.
"""

import msgspec

from acclimate_hub.rollout.machine import desired
from acclimate_hub.rollout.records import RETURNING, DeviceRow, Rollout
from acclimate_shared.rollout_reports import DeviceState, Report
from acclimate_shared.waves import Stage

ENDED = frozenset({DeviceState.FAILED, DeviceState.ROLLED_BACK})
HOLDING = frozenset({DeviceState.DOWNLOADING, DeviceState.VERIFIED, DeviceState.PROBATION, DeviceState.RUNNING})
BEGUN = HOLDING | ENDED


def succeeded(rollout: Rollout, row: DeviceRow) -> bool:
    """Return whether a device counts as a success at this moment."""
    return (
        row.state is DeviceState.RUNNING
        and row.stage is Stage.SERVE
        and row.digest == rollout.digest
        and row.served_s >= rollout.plan.probation_s
    )


def holds(rollout: Rollout, row: DeviceRow) -> bool:
    """Return whether a device has the base of the rollout, as far as the hub knows."""
    return row.digest == rollout.digest or row.state in HOLDING


def applied(rollout: Rollout, row: DeviceRow, report: Report, block: int) -> DeviceRow:
    """Return the row after a report; the row itself if the report is not news.

    Args:
        rollout: As it stands.
        row: Of the device.
        report: Checked.
        block: Number of the time block in which the hub hears it.
    """
    if (report.boot, report.seq) <= (row.boot, row.seq):
        return row
    joins = report.stage is not row.stage or row.wave < 0
    state, reason = _believed(rollout, report)
    return _next(
        row,
        online=True,
        state=state,
        reason=reason,
        stage=report.stage,
        wave=rollout.wave if joins else row.wave,
        attempt=report.attempt,
        boot=report.boot,
        seq=report.seq,
        revision=max(row.revision, report.revision),
        digest=report.digest,
        served_s=report.served_s,
        ever_failed=(row.ever_failed and not joins) or (state in ENDED and rollout.phase not in RETURNING),
        **_scored(rollout, row, report, block, joins=joins),
    )


def _believed(rollout: Rollout, report: Report) -> tuple[DeviceState, str]:
    """Return the state that the report proves, and why it is another than the one that it claims."""
    if report.state not in (DeviceState.PROBATION, DeviceState.RUNNING):
        return report.state, report.reason
    if report.stage is not Stage.SERVE:
        return DeviceState.VERIFIED, "in shadow: it does not answer yet"
    if report.digest != rollout.digest:
        return DeviceState.FAILED, f"reports {report.state}, but {report.digest[:12]} answers on it"
    if report.state is DeviceState.RUNNING and report.served_s < rollout.plan.probation_s:
        return DeviceState.PROBATION, f"reports running after {report.served_s:g} s of probation"
    return report.state, report.reason


def _scored(rollout: Rollout, row: DeviceRow, report: Report, block: int, *, joins: bool) -> dict[str, int]:
    """Return from and until which time block its losses count: always a later block than the present one."""
    first, last = (-1, -1) if joins else (row.scored_from, row.scored_until)
    asked = desired(rollout, row.cohort).asks(report.device)
    if first < 0 and report.warm and asked is report.stage and report.state not in ENDED:
        first = block + 1
    elif first >= 0 and last < 0 and report.state in ENDED:
        last = max(block, first)
    return {"scored_from": first, "scored_until": last}


def _next(row: DeviceRow, **changes: object) -> DeviceRow:
    return msgspec.structs.replace(row, version=row.version + 1, **changes)
