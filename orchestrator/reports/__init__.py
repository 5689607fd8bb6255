"""Data first, then a renderer."""
