"""What the marketer writes: settings, YAML with positions, rules and their expressions."""
