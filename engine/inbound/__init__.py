"""What comes back: a provider's events and its lists, and what the silence of one means."""

from engine.inbound.reconcile import Reconciled, reconcile
from engine.inbound.sendgrid_events import Received, Rejected, receive
from engine.inbound.suppression_pull import Pulled, pull

__all__ = ["Pulled", "Received", "Reconciled", "Rejected", "pull", "receive", "reconcile"]
