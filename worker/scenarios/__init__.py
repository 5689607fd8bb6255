"""What the race is about: tables, operations, business rules."""
