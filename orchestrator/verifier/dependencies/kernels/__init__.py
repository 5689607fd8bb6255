"""Passes over micro-operations and edges: plain loops over arrays, run as they are or compiled (`compiled.run`).

Compiled code can hold only numbers, arrays and named tuples of them, and call functions of its own file.
"""
