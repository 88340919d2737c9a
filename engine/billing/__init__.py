"""What the billing system says, kept as tables: Stripe's objects read, applied in any order, and asked for again."""
