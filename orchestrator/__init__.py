"""Plans, runs, verifies and reports races; `rowrace` is its command."""
