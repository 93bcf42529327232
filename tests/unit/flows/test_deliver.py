"""Every ending of a delivery, with a server that fails on command (promise 4)."""

import hashlib
from dataclasses import replace

import pytest

from include.domain.errors import (
    ArtefactError,
    DeliveryRefused,
    DeliveryUnknown,
    LedgerError,
    RemoteError,
    RemoteRefused,
)
from include.domain.states import BatchState
from include.flows.close import close_submit_run
from include.flows.deliver import deliver
from tests.flows_harness import CUTOFF, charge, lost, refused, report_text

NAME = "TKN_MCH0001_20261120_0001.TXT"
FINAL = f"/inbound/{NAME}"


@pytest.fixture
def sealed(merchant):
    """A merchant with one sealed batch of two charges, `merchant.go()` to deliver it."""
    return _sealed(merchant)


@pytest.fixture
def direct(make_merchant):
    """The same where the server allows no rename."""
    return _sealed(make_merchant(changes={"batch": {"delivery": "direct"}}))


def _sealed(merchant):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 250_000))
    run, (batch_id,) = merchant.seal()
    merchant.run_made, merchant.batch_id = run, batch_id
    merchant.go = lambda: deliver(merchant.context, batch_id, run.run_id)
    return merchant


def _envelope(merchant) -> bytes:
    return (merchant.artefacts / merchant.batch(merchant.batch_id)["artefact"]).read_bytes()


def _state(merchant) -> str:
    return merchant.batch(merchant.batch_id)["state"]


def _outcomes(merchant) -> dict[str, str]:
    rows = merchant.sql("SELECT a.charge_id, o.status FROM outcome o JOIN attempt a USING (invoice_number)")
    return {row["charge_id"]: row["status"] for row in rows}


def _uploaded_once(merchant) -> bool:
    """DOKU sees the very envelope that the ledger knows, and nothing else."""
    return merchant.server.files("/inbound") == {NAME: _envelope(merchant)}


# --- delivered ---


def test_a_delivery(sealed):
    ended = sealed.go()
    assert (ended.state, ended.file_name, ended.count, ended.total) == ("delivered", NAME, 2, 350_000)
    assert _uploaded_once(sealed)
    assert hashlib.sha256(_envelope(sealed)).hexdigest() == sealed.batch(sealed.batch_id)["envelope_digest"]
    assert sealed.states(sealed.batch_id) == ["claimed", "sealed", "delivering", "renaming", "delivered"]


def test_bytes_go_to_a_name_that_doku_does_not_pick_up(sealed):
    sealed.go()
    (temporary,) = sealed.server.asked("write")
    assert temporary.startswith("/inbound/.")
    assert temporary.endswith(".part")
    assert sealed.batch(sealed.batch_id)["envelope_digest"][:16] in temporary


def test_claims_are_told_before_the_server_is_asked(sealed):
    told = []
    sealed.server.plan("connect", before=lambda: told.append(sealed.told()))
    sealed.go()
    assert {(key, one["status"]) for key, one in told[0].items()} == {
        (("C1", 1), "in_flight"),
        (("C2", 1), "in_flight"),
    }
    assert {one["ledger_id"] for one in told[0].values()} == {sealed.ledger.ledger_id}


def test_intent_is_committed_before_the_first_byte_and_the_promise_before_the_rename(sealed):
    seen = []
    sealed.server.plan("write", before=lambda: seen.append(_state(sealed)))
    sealed.server.plan("rename", before=lambda: seen.append(_state(sealed)))
    sealed.go()
    assert seen == ["delivering", "renaming"]


def test_delivering_again_asks_nobody(sealed):
    sealed.go()
    before, sessions = sealed.dump(), sealed.server.sessions
    sealed.later(minutes=5)
    assert sealed.go().state == "delivered"
    assert sealed.dump() == before
    assert sealed.server.sessions == sessions


def test_a_confirmed_rename_is_delivery_even_if_the_file_is_gone_at_once(sealed):
    sealed.server.plan("rename", after=lambda: (sealed.remote_root / "inbound" / NAME).unlink())
    assert sealed.go().state == "delivered"


def test_a_batch_that_is_not_sealed_is_not_delivered(merchant):
    merchant.list_charges(charge("C1"))
    run, (batch_id,) = merchant.claim()
    with pytest.raises(LedgerError, match="not sealed"):
        deliver(merchant.context, batch_id, run.run_id)
    assert merchant.server.log == []


# --- nothing became visible: try again ---


@pytest.mark.parametrize(
    ("op", "settings"),
    [
        ("connect", {"before": lost()}),
        ("stat", {"before": lost()}),
        ("list", {"before": lost()}),
        ("write", {"before": lost()}),
        ("write", {"before": lost(), "keep": 10}),
        ("write", {"after": lost()}),
        ("write", {"before": refused("disk full")}),
        ("write", {"before": refused("disk full"), "keep": 10}),
        ("read", {"before": lost()}),
        ("read", {"before": refused()}),
    ],
)
def test_trouble_before_the_rename_leaves_nothing_and_the_next_try_delivers(sealed, op, settings):
    sealed.server.plan(op, **settings)
    with pytest.raises((RemoteError, RemoteRefused)):
        sealed.go()
    assert _state(sealed) in ("sealed", "delivering")
    assert NAME not in sealed.server.files("/inbound")
    assert _outcomes(sealed) == {}
    with pytest.raises(LedgerError, match="not delivered"):
        close_submit_run(sealed.context, sealed.run_made)

    assert sealed.go().state == "delivered"
    assert _uploaded_once(sealed)
    close_submit_run(sealed.context, sealed.run_made)


def test_what_reads_back_differently_is_not_renamed(sealed):
    def spoil() -> None:
        (path,) = (sealed.remote_root / "inbound").iterdir()
        path.write_bytes(bytes(len(path.read_bytes())))

    sealed.server.plan("write", after=spoil)
    with pytest.raises(RemoteError, match="reads back"):
        sealed.go()
    assert sealed.server.files("/inbound") == {}
    assert sealed.go().state == "delivered"


@pytest.mark.parametrize("read_back", [True, False])
def test_a_short_file_is_not_renamed(make_merchant, read_back):
    merchant = _sealed(make_merchant(changes={"batch": {"read_back": read_back}}))

    def cut() -> None:
        (path,) = (merchant.remote_root / "inbound").iterdir()
        path.write_bytes(path.read_bytes()[:-1])

    merchant.server.plan("write", after=cut)
    with pytest.raises(RemoteError):
        merchant.go()
    assert merchant.server.files("/inbound") == {}


def test_without_reading_back_nothing_is_read(make_merchant):
    merchant = _sealed(make_merchant(changes={"batch": {"read_back": False}}))
    assert merchant.go().state == "delivered"
    assert merchant.server.asked("read") == []


def test_leftovers_of_broken_tries_are_removed_and_nothing_else_is(sealed):
    sealed.server.plan("write", before=lost(), keep=10)
    sealed.server.plan("remove", before=lost())
    with pytest.raises(RemoteError):
        sealed.go()
    (left,) = sealed.server.files("/inbound")
    sealed.server.put("/inbound/.0000000000000000.other.part", b"of another batch")
    assert sealed.go().state == "delivered"
    assert set(sealed.server.files("/inbound")) == {NAME, ".0000000000000000.other.part"}
    assert f"/inbound/{left}" in sealed.server.asked("remove")


def test_a_folder_of_its_own_for_temporary_files(make_merchant):
    merchant = make_merchant(changes={"batch": {"temporary_folder": "/staging"}})
    (merchant.remote_root / "staging").mkdir()
    _sealed(merchant)
    assert merchant.go().state == "delivered"
    assert merchant.server.asked("write")[0].startswith("/staging/")
    assert merchant.server.files("/staging") == {}
    assert _uploaded_once(merchant)


@pytest.mark.parametrize("change", ["altered", "gone"])
@pytest.mark.parametrize("way", ["rename", "direct"])
def test_a_kept_envelope_that_is_not_what_the_ledger_says_is_not_sent(make_merchant, way, change):
    merchant = _sealed(make_merchant(changes={"batch": {"delivery": way}}))
    kept = merchant.artefacts / merchant.batch(merchant.batch_id)["artefact"]
    whole = kept.read_bytes()
    kept.write_bytes(b"\0" * len(whole))
    if change == "gone":
        kept.unlink()
    with pytest.raises(ArtefactError):
        merchant.go()
    assert merchant.server.files("/inbound") == {}
    kept.write_bytes(whole)
    assert merchant.go().state == "delivered"


# --- the rename ---


def test_an_answer_lost_after_the_rename_is_unknown_until_the_server_is_looked_at(sealed):
    sealed.server.plan("rename", after=lost())
    with pytest.raises(DeliveryUnknown, match="not sent again"):
        sealed.go()
    assert _state(sealed) == "unknown"
    with pytest.raises(DeliveryUnknown):
        close_submit_run(sealed.context, sealed.run_made)
    assert sealed.go().state == "delivered"
    assert len(sealed.server.asked("rename")) == 1
    assert _uploaded_once(sealed)


def test_a_rename_without_an_answer_and_without_a_file_stays_unknown_and_is_never_sent_again(sealed):
    sealed.server.plan("rename", before=lost())
    for _ in range(4):
        with pytest.raises(DeliveryUnknown):
            sealed.go()
        sealed.later(hours=30)
    assert _state(sealed) == "unknown"
    assert len(sealed.server.asked("write")) == 1
    assert _outcomes(sealed) == {}


@pytest.mark.parametrize("trace", ["archive", "report"])
def test_a_file_that_was_taken_away_is_found_by_its_trace(sealed, trace):
    sealed.server.plan("rename", after=lost())
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    (sealed.remote_root / "inbound" / NAME).unlink()
    if trace == "archive":
        sealed.server.put(f"/archive/{NAME}", _envelope(sealed))
    else:
        sealed.server.put(f"/outbound/RPT_{NAME}", b"whatever it says")
    assert sealed.go().state == "delivered"
    assert len(sealed.server.asked("write")) == 1


def test_a_killed_process_is_looked_after_by_the_next_try(sealed):
    sealed.server.plan("rename", after=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        sealed.go()
    assert _state(sealed) == "renaming"
    assert sealed.go().state == "delivered"
    assert len(sealed.server.asked("rename")) == 1


def test_a_refused_rename_sends_nothing_and_may_be_tried_again(sealed):
    sealed.server.plan("rename", before=refused("renaming"))
    with pytest.raises(DeliveryRefused, match="nothing was sent"):
        sealed.go()
    assert _state(sealed) == "sealed"
    assert sealed.go().state == "delivered"
    assert _uploaded_once(sealed)


def test_a_refusal_whose_look_fails_is_not_sent_again(sealed):
    sealed.server.plan("rename", before=refused("renaming"))
    sealed.server.plan("stat", match=f"*{NAME}", nth=3, before=lost())
    with pytest.raises(RemoteError):
        sealed.go()
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    assert len(sealed.server.asked("write")) == 1


def test_the_name_is_taken_by_another_content_before_anything_was_sent(sealed):
    sealed.server.put(FINAL, b"somebody else's")
    for _ in range(2):
        with pytest.raises(DeliveryRefused, match="another content"):
            sealed.go()
    assert sealed.server.files("/inbound") == {NAME: b"somebody else's"}
    assert sealed.server.asked("write") == []
    (sealed.remote_root / "inbound" / NAME).unlink()
    assert sealed.go().state == "delivered"


def test_a_refusal_for_another_content_shows_both_digests(sealed):
    other = bytes(len(_envelope(sealed)))
    sealed.server.put(FINAL, other)
    with pytest.raises(DeliveryRefused) as caught:
        sealed.go()
    assert hashlib.sha256(other).hexdigest() in caught.value.message
    assert sealed.batch(sealed.batch_id)["envelope_digest"] in caught.value.message


def test_the_name_is_taken_while_we_write(sealed):
    sealed.server.plan("rename", before=lambda: sealed.server.put(FINAL, b"somebody else's"))
    with pytest.raises(DeliveryRefused, match="another content"):
        sealed.go()
    assert _state(sealed) == "sealed"
    assert sealed.server.files("/inbound")[NAME] == b"somebody else's"


def test_our_own_content_has_the_name_already(sealed):
    """The name is taken between the look and the rename, by the same bytes: an older process of ours."""
    sealed.server.plan("rename", before=lambda: sealed.server.put(FINAL, _envelope(sealed)))
    assert sealed.go().state == "delivered"
    assert _uploaded_once(sealed)  # and no temporary file is left


# --- a ledger restored from a backup ---


@pytest.mark.parametrize("trace", ["inbound", "archive", "report"])
def test_a_restored_ledger_finds_its_own_file(sealed, trace):
    if trace == "report":
        sealed.server.put(f"/outbound/RPT_{NAME}", b"whatever it says")
    else:
        sealed.server.put(f"/{trace}/{NAME}", _envelope(sealed))
    assert sealed.go().state == "delivered"
    assert sealed.server.asked("write") == []
    assert sealed.server.asked("rename") == []


@pytest.mark.parametrize("trace", ["inbound", "archive", "report"])
def test_a_restored_ledger_finds_its_own_file_after_the_cutoff_too(sealed, trace):
    """Withdrawing it would free charges that DOKU was sent: they would be collected twice."""
    if trace == "report":
        sealed.server.put(f"/outbound/RPT_{NAME}", b"whatever it says")
    else:
        sealed.server.put(f"/{trace}/{NAME}", _envelope(sealed))
    sealed.now = CUTOFF
    assert sealed.go().state == "delivered"
    assert _outcomes(sealed) == {}


# --- the cut-off ---


def test_after_the_cutoff_nothing_is_sent_and_the_charges_are_free_again(sealed):
    sealed.now = CUTOFF
    assert sealed.go().state == "withdrawn"
    assert sealed.server.asked("write") == []
    assert _outcomes(sealed) == {"C1": "withdrawn", "C2": "withdrawn"}
    close_submit_run(sealed.context, sealed.run_made)

    _, (batch_id,) = sealed.submit()
    numbers = sealed.sql("SELECT charge_id, attempt_no, rule FROM attempt WHERE batch_id = :id", id=batch_id)
    assert [(row["charge_id"], row["attempt_no"], row["rule"]) for row in numbers] == [
        ("C1", 2, "after_withdrawal"),
        ("C2", 2, "after_withdrawal"),
    ]
    assert str(sealed.batch(batch_id)["execute_date"]) == "2026-11-21"
    assert {key: one["status"] for key, one in sealed.told().items()} == {
        ("C1", 1): "withdrawn", ("C2", 1): "withdrawn", ("C1", 2): "in_flight", ("C2", 2): "in_flight",
    }  # fmt: skip


def test_the_last_moment_before_the_cutoff_is_not_too_late(sealed):
    sealed.now = CUTOFF
    sealed.later(seconds=-1)
    assert sealed.go().state == "delivered"


def test_the_cutoff_passes_while_the_file_is_written(sealed):
    sealed.server.plan("write", after=lambda: setattr(sealed, "now", CUTOFF))
    assert sealed.go().state == "withdrawn"
    assert sealed.server.files("/inbound") == {}
    assert sealed.server.asked("rename") == []
    assert set(_outcomes(sealed).values()) == {"withdrawn"}


def test_after_the_cutoff_a_rename_that_may_have_happened_is_not_withdrawn(sealed):
    sealed.server.plan("rename", before=lost())
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    sealed.now = CUTOFF
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    assert _outcomes(sealed) == {}


# --- two tries at once ---


def test_a_try_that_was_taken_over_does_not_rename(sealed):
    """The second try comes while the first has written its file, and delivers; the first finds that out."""
    sealed.server.plan("write", after=lambda: _second(sealed))
    endings = []

    def first() -> None:
        with pytest.raises(RemoteError, match="Another try took over") as caught:
            sealed.go()
        assert caught.value.retryable
        endings.append(_state(sealed))

    first()
    assert endings == ["delivered"]
    assert len(sealed.server.asked("rename")) == 1
    assert _uploaded_once(sealed)


def test_a_try_that_was_taken_over_leaves_the_other_ones_file_alone(sealed):
    """It lists leftovers only after the second try has written its own: that one is not a leftover."""

    def second_is_cut_short() -> None:
        sealed.server.plan("write", after=lost())
        sealed.server.plan("remove", before=lost())
        with pytest.raises(RemoteError, match="connection broke"):
            sealed.go()
        written.extend(sealed.server.files("/inbound"))

    written: list[str] = []
    sealed.server.plan("list", after=second_is_cut_short)
    with pytest.raises(RemoteError, match="Another try took over"):
        sealed.go()
    assert len(written) == 1
    assert list(sealed.server.files("/inbound")) == written
    assert sealed.go().state == "delivered"
    assert _uploaded_once(sealed)


def test_a_second_try_has_patience_with_one_that_is_still_uploading(sealed):
    """It takes over only after a moment in which nothing happened."""
    sealed.server.plan("write", after=lambda: _second(sealed))
    with pytest.raises(RemoteError, match="Another try took over"):
        sealed.go()
    assert sum(sealed.waits) == pytest.approx(5.0)


def test_two_tries_that_begin_at_once_do_not_take_over_from_each_other(sealed):
    """Both saw the batch sealed: one begins, the other finds that out and gives it a moment."""
    began = []

    def other_begins(name: str) -> None:
        if name == "deliver: before the intent" and not began:
            began.append(name)
            sealed.server.plan("write", after=lost())
            with pytest.raises(RemoteError, match="connection broke"):
                sealed.go()
            assert sealed.waits == []

    context = replace(sealed.context, step=other_begins)
    assert deliver(context, sealed.batch_id, sealed.run_made.run_id).state == "delivered"
    assert sum(sealed.waits) == pytest.approx(5.0)


def _second(merchant) -> None:
    assert merchant.go().state == "delivered"


def test_a_second_try_while_the_first_renames_waits_and_sees_it_arrive(sealed):
    endings = []
    sealed.server.plan("rename", after=lambda: endings.append(sealed.go().state))
    assert sealed.go().state == "delivered"
    assert endings == ["delivered"]
    assert sealed.states(sealed.batch_id).count("delivered") == 1
    assert len(sealed.server.asked("rename")) == 1


def test_a_second_try_that_looks_too_early_does_not_stop_the_first(sealed):
    """Between the promise and the rename the second sees no file: unknown, until the first says it is there."""

    def second() -> None:
        with pytest.raises(DeliveryUnknown):
            sealed.go()

    sealed.server.plan("rename", before=second)
    assert sealed.go().state == "delivered"
    assert sealed.states(sealed.batch_id)[-3:] == ["renaming", "unknown", "delivered"]


def test_a_second_try_has_patience_with_one_that_is_still_renaming(sealed):
    def second() -> None:
        sealed.on_wait = lambda: sealed.server.put("/outbound/unrelated", b"")
        with pytest.raises(DeliveryUnknown):
            sealed.go()

    sealed.server.plan("rename", before=second)
    sealed.go()
    assert sum(sealed.waits) == pytest.approx(5.0)


def test_a_refusal_that_comes_after_a_second_try_gave_up_is_still_a_refusal(sealed):
    """Only the first try could have renamed, and the server told it no: nothing was sent."""

    def second() -> None:
        with pytest.raises(DeliveryUnknown):
            sealed.go()
        raise refused("renaming")

    sealed.server.plan("rename", before=second)
    with pytest.raises(DeliveryRefused):
        sealed.go()
    assert _state(sealed) == "sealed"
    assert sealed.go().state == "delivered"


def test_a_try_that_comes_late_looks_how_the_other_ended(sealed, monkeypatch):
    """It read `sealed`, then the other promised to rename and broke off: its ending is looked up, not assumed."""
    from include.flows import deliver as module

    take_over, calls = module._take_over, []

    def overtaken(context, batch, mine, run_id) -> bool:
        calls.append(batch.state)
        if len(calls) == 1:
            sealed.server.plan("rename", after=KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                sealed.go()
        return take_over(context, batch, mine, run_id)

    monkeypatch.setattr(module, "_take_over", overtaken)
    assert sealed.go().state == "delivered"
    assert len(sealed.server.asked("rename")) == 1


def test_a_try_withdraws_at_the_cutoff_while_another_writes(sealed):
    """Whoever comes second finds the batch withdrawn and may not rename."""

    def cutoff() -> None:
        sealed.now = CUTOFF
        assert sealed.go().state == "withdrawn"
        sealed.later(hours=-5)  # the first try's clock is slow

    sealed.server.plan("write", after=cutoff)
    with pytest.raises((RemoteError, RemoteRefused)):
        sealed.go()
    assert _state(sealed) == "withdrawn"
    assert NAME not in sealed.server.files("/inbound")


# --- direct ---


def test_direct_delivery(direct):
    assert direct.go().state == "delivered"
    assert direct.server.asked("write") == [FINAL]
    assert direct.server.asked("rename") == []
    assert _uploaded_once(direct)


@pytest.mark.parametrize("settings", [{"before": lost(), "keep": 10}, {"after": lost()}, {"before": lost()}])
def test_an_interrupted_direct_upload_is_unknown_and_never_sent_again(direct, settings):
    direct.server.plan("write", **settings)
    with pytest.raises(DeliveryUnknown):
        direct.go()
    if "after" in settings:
        assert direct.go().state == "delivered"
    else:
        with pytest.raises(DeliveryUnknown):
            direct.go()
    assert len(direct.server.asked("write")) == 1


def test_a_direct_upload_that_was_refused_in_the_middle_is_unknown(direct):
    direct.server.plan("write", before=refused("disk full"), keep=10)
    with pytest.raises(DeliveryUnknown, match="part of the file"):
        direct.go()


def test_a_direct_upload_that_was_refused_at_once_may_be_tried_again(direct):
    direct.server.plan("write", before=refused("permission"))
    with pytest.raises(DeliveryRefused):
        direct.go()
    assert direct.go().state == "delivered"


def test_a_direct_upload_is_not_begun_after_the_cutoff(direct):
    direct.now = CUTOFF
    assert direct.go().state == "withdrawn"
    assert direct.server.files("/inbound") == {}


# --- a report as proof ---


def test_a_report_settles_an_unknown_delivery(sealed):
    sealed.server.plan("rename", before=lost())
    with pytest.raises(DeliveryUnknown):
        sealed.go()
    invoices = sealed.invoices()
    sealed.server.put(
        "/outbound/RPT_X.TXT", report_text((invoices["C1"], 100_000, "0000"), (invoices["C2"], 250_000, "0051"))
    )
    sealed.reconcile()
    assert sealed.states(sealed.batch_id)[-3:] == ["unknown", "delivered", "reconciled"]
    assert _outcomes(sealed) == {"C1": "paid", "C2": "declined"}
    assert sealed.go().state == "reconciled"
    assert len(sealed.server.asked("write")) == 1


def test_every_state_is_either_ended_or_moves_on(sealed):
    """`deliver` knows every state that a batch can be in."""
    from include.ledger import tables

    for state in BatchState:
        with sealed.ledger.write() as connection:
            where = tables.batch.c.batch_id == sealed.batch_id
            connection.execute(tables.batch.update().where(where).values(state=state))
        sealed.server.faults.clear()
        try:
            ended = sealed.go().state
        except (LedgerError, DeliveryUnknown, DeliveryRefused):
            continue
        assert ended in ("delivered", "reconciled", "withdrawn")
