"""A TCP proxy that disturbs what it carries: a process of its own, which needs the standard library only."""
