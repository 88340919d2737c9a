"""What the billing system says, kept as tables: Stripe's objects read, applied in any order, and asked for again."""

from engine.billing.applying import apply_stripe_events
from engine.billing.asking import ask_open_questions, catch_up, read_again
from engine.billing.stripe_api import StripeApi
from engine.billing.syncing import Synced, sync

__all__ = ["StripeApi", "Synced", "apply_stripe_events", "ask_open_questions", "catch_up", "read_again", "sync"]
