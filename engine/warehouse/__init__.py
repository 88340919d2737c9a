"""What the customers did: the company's tables, read and typed, and the facts rules ask of them."""
