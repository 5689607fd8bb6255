"""Histories that the literature tells, in the tiny language, with what it calls them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Example:
    """A history that shows one anomaly, or none."""

    name: str
    text: str
    #: What its cycles are called; none.
    cycles: frozenset[str] = frozenset()
    #: What else is found, with its number.
    counts: dict[str, int] = field(default_factory=dict)


def _example(name: str, text: str, *cycles: str, **counts: int) -> Example:
    named = {anomaly.replace("_", "-"): count for anomaly, count in counts.items()}
    return Example(name=name, text=text, cycles=frozenset(cycles), counts=named)


LITERATURE = (
    # Adya, Liskov, O'Neil 2000, H_serial: w1(z1) w1(x1) w1(y1) w3(x3) c1 r2(x1) w2(y2) c2 r3(y2) w3(z3) c3.
    _example("adya-h-serial", "a: wz1 wx1 wy1 | b: rx1 wy2 | c: wx2 ry2 wz2"),
    # The same, H_wcycle: w1(x1, 2) w2(x2, 5) w2(y2, 5) c2 w1(y1, 8) c1, [x1 << x2, y2 << y1].
    _example("adya-h-wcycle", "a: wx1 wy2 | b: wx2 wy1", "G0"),
    # Adya 1999, G1a: T2 reads what T1 wrote, T1 aborts.
    _example("adya-g1a", "a!: wx1 | b: rx1", G1a=1),
    # Adya 1999, G1b: T2 reads x that T1 then writes again; since each write is a version here, that is a cycle too.
    _example("adya-g1b", "a: wx1 wx2 | b: rx1", "G-single-item", G1b=1),
    # Adya 1999, G1c: each reads what the other wrote.
    _example("adya-g1c", "a: wx1 ry1 | b: wy1 rx1", "G1c"),
    # Berenson et al. 1995, H1 (inconsistent analysis), and A5A: read skew.
    _example("read-skew", "a: rx0 ry1 | b: wx1 wy1", "G-single-item"),
    # Berenson et al. 1995, A5B: write skew.
    _example("write-skew", "a: rx0 ry0 wx1 | b: rx0 ry0 wy1", "G2-item"),
    # Berenson et al. 1995, H4, P4: lost update.
    _example("lost-update", "a: rx0 wx2 | b: rx0 wx1", "G-single-item", lost_update=1),
    # Cerone, Bernardi, Gotsman 2015: long fork.
    _example("long-fork", "a: wx1 | b: wy1 | c: rx1 ry0 | d: rx0 ry1", "G-nonadjacent-item"),
    # Fekete, O'Neil, O'Neil 2004: only because somebody reads is it not serializable.
    _example("read-only-anomaly", "withdraw: rx0 ry0 wx1 | deposit: ry0 wy1 | report: rx0 ry1", "G2-item"),
    # Adya, Liskov, O'Neil 2000, H_phantom: T2 adds an employee whom T1 did not find; T1 then reads the sum with him.
    _example("phantom", "a: rx0 ry1 | b: wz1 wy1 | a -predicate-rw:z-> b", "G-single"),
    # Alvaro, Kingsbury 2020: a stale read needs real time.
    _example("stale-read", "a[0,1]: wx1 | b[2,3]: rx0", "G-single-item-realtime"),
    # Terry et al. 1994: a session that doesn't see its own write.
    _example("stale-session", "a@s: wx1 | b@s: rx0", "G-single-item-process", read_your_writes_violation=1),
)
