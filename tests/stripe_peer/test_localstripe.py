"""From a declined card to the thank-you, with a Stripe that somebody else wrote and that signs its own webhooks."""

from __future__ import annotations

from peer_company import PeerCompany, wait_for


def failed(peer: PeerCompany, name: str) -> tuple[str, str, str]:
    """A customer, a subscription and the renewal that failed, once its webhook has come."""
    customer, subscription = peer.subscriber(name)
    invoice = peer.fail_renewal(customer, subscription)
    wait_for(lambda: "invoice.payment_failed" in peer.kinds())
    return customer, subscription, invoice


def test_a_declined_renewal_is_written_about_until_the_new_card_has_paid(peer: PeerCompany) -> None:
    customer, _, invoice = failed(peer, "ann")
    assert peer.day(0) == []
    assert peer.day(1) == []
    assert peer.day(3) == ["failed"]
    peer.use_card(customer, "4242424242424242")
    peer.client.v1.invoices.pay(invoice)
    wait_for(lambda: peer.kinds().count("invoice.payment_succeeded") == 2)
    assert [peer.day(number) for number in (4, 5, 7, 8)] == [["settled"], [], [], []]
    told = peer.report(8)
    assert {outcome: tally["invoices"] for outcome, tally in told["outcomes"].items() if tally["invoices"]} == {
        "recovered": 1
    }
    assert told["outcomes"]["recovered"]["money"] == {"EUR": 2900}


def test_a_bill_paid_behind_our_back_is_not_written_about(peer: PeerCompany) -> None:
    """The webhook of the payment is lost: only reading the invoice again can tell."""
    customer, _, invoice = failed(peer, "bob")
    peer.plan_only(3)
    peer.post("/_config/webhooks/ours", url="http://127.0.0.1:9/nowhere", secret="whsec_other")
    peer.use_card(customer, "4242424242424242")
    peer.client.v1.invoices.pay(invoice)
    assert peer.deliver(3) == []
    assert peer.stopped() == ["recovered"]


def test_a_voided_invoice_ends_the_story_without_a_word(peer: PeerCompany) -> None:
    *_, invoice = failed(peer, "cem")
    peer.plan_only(3)
    peer.client.v1.invoices.void_invoice(invoice)
    assert peer.deliver(3) == []
    assert peer.stopped() == ["voided"]
    assert [peer.day(number) for number in (4, 7)] == [[], []]


def test_a_cancelled_subscription_ends_it_too(peer: PeerCompany) -> None:
    _, subscription, _ = failed(peer, "dan")
    assert peer.day(3) == ["failed"]
    peer.client.v1.subscriptions.cancel(subscription)
    wait_for(lambda: "customer.subscription.deleted" in peer.kinds())
    assert [peer.day(number) for number in (4, 7, 8)] == [[], [], []]
