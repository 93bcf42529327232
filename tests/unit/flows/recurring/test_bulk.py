"""Files that register bills: made of what waits, delivered once, with the three endings of a batch file."""

from dataclasses import replace

import pytest

from include.domain.errors import DeliveryRefused, DeliveryUnknown, FileRefused, NotAllowed, RemoteError
from include.flows.recurring.bulk import make_files
from include.flows.recurring.bulk_delivery import (
    deliver_files,
    registration_arrived,
    registration_never_arrived,
)
from include.flows.recurring.register import read_wanted
from tests.flows_harness import lost, refused
from tests.register_harness import RECURRING, Register, wanted

WHO = {"by": "ani", "why": "DOKU's support, ticket 5"}
PLAIN = {"recurring": {**RECURRING["recurring"], "bulk": {"sealed": False}}}
NAME = "REG_MCH0001_20261120_0001.TXT"


@pytest.fixture
def bills(make_merchant) -> Register:
    made = Register(make_merchant(changes=PLAIN))
    made.want(wanted("B-1", registration="bulk"),
              wanted("B-2", registration="bulk", customer_id="K-2", amount=None, schedule="dates",
                     schedule_on="2026-12-01,2027-01-01", ends_on="2027-01-01", customer_name=None))  # fmt: skip
    return made


@pytest.fixture
def server(bills):
    return bills.merchant.server


def _file(bills):
    (found,) = bills.merchant.sql("SELECT * FROM registration_file ORDER BY file_id DESC LIMIT 1")
    return found


def test_the_bytes_of_a_file(bills, server):
    bills.register()
    lines = server.files("/inbound")[NAME].decode().split("\r\n")
    assert lines == [
        f"H|MCH0001|{NAME}|20261120|2",
        "D|1|B-1|K-1|Ani|ani@example.org||100000.00|IDR|TRUE|DATE|20||20261101||Donasi",
        "D|2|B-2|K-2||ani@example.org|||IDR|FALSE|FULLDATE|20261201,20270101||20261101|20270101|Donasi",
        "",
    ]
    assert bills.state("B-1") == bills.state("B-2") == "asked"
    assert (bills.bill()["asked_by"], bills.told()["checkout_url"]) == ("bulk", None)
    assert bills.api.calls == []


def test_the_bills_of_a_file_are_asked_for_once(make_merchant, ledger_settings):
    bills = Register(make_merchant(ledger_settings, changes=PLAIN))
    bills.want(*(wanted(f"B-{number}", registration="bulk") for number in range(3)))
    assert bills.register().files == [NAME]
    before = bills.merchant.dump("run")
    assert bills.register().files == []
    assert bills.merchant.dump("run") == before
    bills.want(wanted("B-9", registration="bulk"))
    assert bills.register().files == ["REG_MCH0001_20261120_0002.TXT"]
    bills.merchant.later(hours=1)
    bills.hear(bills.registered("B-1"))
    bills.take_in()
    assert bills.state("B-1") == "active"


def test_a_sealed_file_is_opened_by_doku_s_key(make_merchant, doku_keys):
    from include.doku.envelope import open_envelope
    from include.doku.keys import load_private_key

    bills = Register(make_merchant(changes={"recurring": {"bulk": {}}}))
    bills.want(wanted(registration="bulk"))
    bills.register()
    content = bills.merchant.server.files("/inbound")[NAME]
    key = load_private_key((doku_keys / "doku_private.pem").read_bytes(), "doku")
    plain = b"".join(open_envelope([content], key, bills.merchant.profile.recurring.bulk.envelope))
    assert plain.startswith(b"H|MCH0001|")
    assert b"B-1" not in content


def test_large_files_are_split(bills):
    bills.changed({"recurring": {"bulk": {"max_rows": 1}}})
    assert len(bills.register().files) == 2


def test_a_bill_that_does_not_fit_is_refused_and_the_others_go(bills, server):
    bills.want(wanted("B-3", registration="bulk", description="x" * 61), wanted("B-4", registration="bulk", phone="ü"))
    bills.register()
    assert (bills.state("B-3"), bills.state("B-4"), bills.state("B-1")) == ("refused", "refused", "asked")
    assert "description" in bills.told("B-3")["reason"]
    assert len(server.files("/inbound")[NAME].split(b"\r\n")) == 4


def test_a_layout_that_never_fits_is_said(bills, tmp_path):
    folder = bills.merchant.profile_file.parent / "layouts"
    folder.mkdir()
    from include.schemas.profile import SHIPPED_CONFIG

    text = (SHIPPED_CONFIG / "layouts" / "assumed-registration.toml").read_text(encoding="utf-8")
    own = text.replace("assumed-registration", "own").replace(
        '"batch.merchant", length = 30', '"batch.merchant", length = 3'
    )
    (folder / "own.toml").write_text(own, encoding="utf-8")
    bills.changed({"recurring": {"bulk": {"layout": "own"}}})
    with pytest.raises(FileRefused, match="merchant"):
        bills.register()
    assert bills.state() == "wanted"


@pytest.mark.parametrize(
    ("op", "settings"),
    [
        ("connect", {}),
        ("write", {"keep": 10}),
        ("write", {}),
        ("read", {}),
    ],
)
def test_nothing_became_visible_and_it_is_tried_again(bills, server, op, settings):
    server.plan(op, before=lost(), **settings)
    with pytest.raises(RemoteError):
        bills.register()
    assert NAME not in server.files("/inbound")
    assert _file(bills)["state"] == "sealed"
    assert bills.state() == "wanted"
    assert bills.register().files == [NAME]
    assert list(server.files("/inbound")) == [NAME]


def test_a_rename_that_the_server_confirmed_is_found_by_the_next_run(bills, server):
    server.plan("rename", after=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    assert (_file(bills)["state"], bills.state()) == ("unknown", "wanted")
    assert bills.register().files == [NAME]
    assert bills.state() == "asked"
    assert len(server.asked("rename")) == 1


def test_terms_that_doku_was_told_since_outlast_those_of_a_file_that_comes_to_light_late(bills, server):
    """Killed after the rename; DOKU registers meanwhile, and the merchant wants another amount and then the old one."""
    server.plan("rename", after=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    bills.merchant.later(minutes=5)
    bills.hear(bills.registered("B-1"))
    bills.take_in()
    for amount in ("200000.00", "100000.00"):
        bills.want(wanted("B-1", registration="bulk", amount=amount))
        bills.register()
        bills.merchant.later(minutes=15)
    assert [int(body["order"]["amount"]) for _, body, _ in bills.api.calls] == [200_000, 100_000]
    bill = bills.bill()
    assert (bill["state"], bill["asked_terms"]) == ("active", bill["terms_digest"])


def test_an_unknown_file_is_never_sent_again_until_a_person_says(bills, server):
    server.plan("rename", before=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    for _ in range(2):
        with pytest.raises(DeliveryUnknown, match="registration_never_arrived"):
            bills.register()
    assert len(server.asked("rename")) == 1
    assert len(bills.merchant.sql("SELECT * FROM registration_file")) == 1  # its bills are in no other file meanwhile
    assert "go into the next file" in registration_never_arrived(bills.context, file_name=NAME, **WHO)
    assert bills.register().files == ["REG_MCH0001_20261120_0002.TXT"]
    with pytest.raises(NotAllowed, match="withdrawn"):
        registration_arrived(bills.context, file_name=NAME, **WHO)


def test_a_persons_word_that_it_arrived(bills, server):
    server.plan("rename", before=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    assert "2 bills" in registration_arrived(bills.context, file_name=NAME, **WHO)
    assert bills.state() == "asked"
    assert bills.register().files == []


def test_a_word_that_it_never_arrived_is_refused_while_the_server_shows_it(bills, server):
    server.plan("rename", after=lost())
    with pytest.raises(DeliveryUnknown):
        bills.register()
    with pytest.raises(NotAllowed, match="did arrive"):
        registration_never_arrived(bills.context, file_name=NAME, **WHO)


def test_another_content_under_the_name_is_never_overwritten(bills, server):
    server.put(f"/inbound/{NAME}", b"somebody else's")
    with pytest.raises(DeliveryRefused, match="another content"):
        bills.register()
    assert server.files("/inbound")[NAME] == b"somebody else's"
    assert _file(bills)["state"] == "sealed"


def test_a_server_that_does_not_rename(bills, server):
    server.plan("rename", before=refused())
    with pytest.raises(DeliveryRefused, match="Ask DOKU"):
        bills.register()
    assert (_file(bills)["state"], server.files("/inbound")) == ("sealed", {})
    assert bills.register().files == [NAME]


def test_a_file_with_a_bill_that_changed_before_it_left_is_withdrawn(bills, server):
    server.plan("connect", before=lost())
    with pytest.raises(RemoteError):
        bills.register()
    bills.want(wanted("B-1", registration="bulk", amount="7.00"))
    bills.register()
    bills.register()
    assert list(server.files("/inbound")) == ["REG_MCH0001_20261120_0002.TXT"]
    assert b"|7.00|" in server.files("/inbound")["REG_MCH0001_20261120_0002.TXT"]
    states = bills.merchant.sql("SELECT state FROM registration_file ORDER BY file_id")
    assert [row["state"] for row in states] == ["withdrawn", "delivered"]


def test_a_bill_that_changes_while_its_file_is_made_is_in_none(bills):
    run = bills.new_run()
    read_wanted(bills.context)

    def step(name):
        if name == "bulk: file kept" and not seen:
            seen.append(name)
            bills.want(wanted("B-1", registration="bulk", amount="7.00"))
            read_wanted(bills.context)

    seen: list[str] = []
    assert make_files(replace(bills.context, step=step), run) == []
    assert bills.merchant.sql("SELECT * FROM registration_file") == []
    assert list(bills.merchant.artefacts.rglob("REG*")) == []
    assert len(make_files(bills.context, run)) == 1


@pytest.mark.parametrize(
    "at",
    [
        "bulk: file kept",
        "bulk: file recorded",
        "bulk: written",
        "bulk: promise committed",
        "bulk: renamed",
        "bulk: delivered",
    ],
)
def test_a_kill_at_any_step_delivers_it_once(bills, server, at):
    class Killed(BaseException):
        pass

    def step(name):
        if name == at:
            raise Killed

    whole = bills.context
    bills.merchant.context = replace(whole, step=step)
    with pytest.raises(Killed):
        bills.register()
    bills.merchant.context = whole
    try:
        bills.register()
    except DeliveryUnknown:  # killed between the promise and the rename: a person says
        assert at == "bulk: promise committed"
        registration_never_arrived(whole, file_name=NAME, **WHO)
        bills.register()
    found = [name for name in server.files("/inbound") if name.startswith("REG")]
    assert len(found) == 1
    assert len(server.asked("rename")) == 1
    assert bills.state("B-1") == bills.state("B-2") == "asked"


def test_two_at_once_send_one_file(bills, server):
    read_wanted(bills.context)
    make_files(bills.context, bills.new_run())

    def step(name):
        if name == "bulk: written" and not seen:
            seen.append(name)
            deliver_files(bills.context)

    seen: list[str] = []
    with pytest.raises(RemoteError):
        deliver_files(replace(bills.context, step=step))
    assert list(server.files("/inbound")) == [NAME]
    assert len(server.asked("rename")) == 1


def test_verify_reads_the_kept_copies(bills):
    from include.flows.recurring.verify_register import findings_of_register

    bills.register()
    assert list(findings_of_register(bills.context)) == []
    kept = bills.merchant.artefacts / _file(bills)["artefact"]
    kept.write_bytes(b"x")
    assert "altered" in next(findings_of_register(bills.context))
    kept.unlink()
    assert "gone" in next(findings_of_register(bills.context))
