"""What DOKU tells of reports: concluded, and followed by a look into the folder; never proof of anything."""

import hashlib
import json

import pytest

from include.domain.errors import NotAllowed
from include.domain.states import NotificationKind
from include.flows.notices import take_in_report_notices
from include.ledger.inbox import Arrived, store


def told(merchant, body, kind=NotificationKind.REPORT_READY):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with merchant.ledger.write() as connection:
        arrived = Arrived("insurance", kind, hashlib.sha256(raw).hexdigest(), raw, merchant.now)
        return store(connection, arrived)[0]


def batch_file(status="DONE", name="RPT_1.TXT", **more):
    return {"service": {"id": "BATCH_UPLOAD"}, "batch_file": {"name": name, "status": status, "date": "x"}, **more}


@pytest.fixture
def listening(make_merchant):
    return make_merchant(changes={"notifications": {"enabled": True}, "connections": {"doku": "insurance_doku"}})


@pytest.mark.parametrize(
    ("body", "state", "words"),
    [
        (batch_file(), "done", "DOKU says that RPT_1.TXT is there"),
        (batch_file(more={"of": "something"}), "done", "RPT_1.TXT"),
        (batch_file("done"), "done", "RPT_1.TXT"),
        (batch_file("PROCESSING"), "ignored", "Its status is PROCESSING and not DONE"),
        (batch_file("FAILED"), "ignored", "FAILED"),
        (batch_file(""), "failed", "status"),
        (batch_file(name=None), "failed", "file_name"),
        (b"\xff", "failed", "no JSON object"),
        (b"[" * 30_000, "failed", "no JSON object"),
    ],
)
def test_each_is_concluded_by_what_it_says(listening, body, state, words):
    told(listening, body)
    before = listening.dump("notification")
    assert take_in_report_notices(listening.context, None) == (1 if state == "done" else 0)
    (row,) = listening.sql("SELECT * FROM notification")
    assert row["state"] == state
    assert words in row["result"]
    assert row["processed_at"] is not None
    assert listening.dump("notification") == before  # nothing else follows from it
    assert take_in_report_notices(listening.context, None) == 0


def test_other_kinds_are_left_to_others(listening):
    told(listening, {"n": 1}, NotificationKind.PAYMENT)
    assert take_in_report_notices(listening.context, None) == 0
    assert listening.sql("SELECT state FROM notification") == [{"state": "received"}]


def test_without_notifications_nothing_is_looked_for(merchant):
    told(merchant, batch_file())
    assert take_in_report_notices(merchant.context, None) == 0
    assert merchant.sql("SELECT state FROM notification") == [{"state": "received"}]


def test_a_failed_one_is_taken_in_again_once_its_cause_is_mended(listening):
    from include.flows.notices import take_in_again

    number = told(listening, batch_file(status=""))
    take_in_report_notices(listening.context, None)
    assert "waits again" in take_in_again(listening.context, notification=number, by="ani", why="mended")
    assert take_in_report_notices(listening.context, None) == 0
    with listening.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE notification SET body = NULL")
    with pytest.raises(NotAllowed, match="content of notification 1 was removed"):
        take_in_again(listening.context, notification=number, by="ani", why="mended")
