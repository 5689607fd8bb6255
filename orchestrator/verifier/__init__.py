"""Pure: history in, verdict out."""
