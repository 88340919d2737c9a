"""What comes back: providers' events and lists, and what the silence of one means."""

from collections.abc import Mapping

from engine.inbound import sendgrid_events, stripe_events
from engine.inbound.base import Rejected, Webhook
from engine.inbound.intake import BusyError, Intake
from engine.inbound.reconcile import Reconciled, reconcile
from engine.inbound.suppression_pull import Pulled, pull

#: By the last part of the address it is posted to.
WEBHOOKS: Mapping[str, type[Webhook]] = {
    webhook.name: webhook for webhook in (sendgrid_events.SendGridWebhook, stripe_events.StripeWebhook)
}

__all__ = ["WEBHOOKS", "BusyError", "Intake", "Pulled", "Reconciled", "Rejected", "Webhook", "pull", "reconcile"]
