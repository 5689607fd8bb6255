"""List-append histories become transactions on versions: pairs of events, orders of elements, what nobody read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from orchestrator.history import list_append
from orchestrator.history.list_append import edges as list_append_edges
from orchestrator.history.list_append.edges import unread
from orchestrator.history.list_append.events import events as read_events
from orchestrator.history.list_append.gather import Gathered
from orchestrator.history.list_append.orders import ordered
from orchestrator.history.transactions import ABORTED, COMMITTED, NEVER, UNKNOWN
from tests.unit.lists import edges, events, operations, told, written

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[2].parent / "shared" / "data"

#: Elle's names of what shows without a graph.
DIRECT = {
    "internal", "future-read", "G1a", "G1b", "dirty-update", "lost-update", "incompatible-order", "duplicate-elements",
}  # fmt: skip

SMALL = [
    {"index": 0, "type": "invoke", "process": 0, "f": "txn", "value": [["append", 1, 5], ["r", "y", None]]},
    {"index": 1, "type": "info", "process": "nemesis", "f": "kill", "value": {"node": ["n1"]}},
    {"index": 2, "type": "invoke", "process": 1, "f": "txn", "value": [["append", "y", "a"]]},
    {"index": 3, "type": "ok", "process": 0, "f": "txn", "value": [["append", 1, 5], ["r", "y", ["a"]]]},
    {"index": 4, "type": "ok", "process": 1, "f": "txn", "value": [["append", "y", "a"]]},
]


def edn(value: Any, key: str = "") -> str:  # noqa: ANN401 (any JSON)
    """JSON data as Jepsen writes it in EDN."""
    match value:
        case None:
            return "nil"
        case dict():
            return "{" + ", ".join(f":{name} {edn(held, name)}" for name, held in value.items()) + "}"
        case list():
            return "[" + " ".join(edn(held) for held in value) + "]"
        case "r" | "append" | "nemesis":
            return f":{value}"
        case str() if key in {"type", "f"}:
            return f":{value}"
        case _:
            return json.dumps(value)


FORMS: dict[str, Callable[[], str]] = {
    "JSON lines": lambda: "".join(f"{json.dumps(event)}\n" for event in SMALL),
    "JSON lines after a byte order mark, blank lines between": lambda: (
        "\ufeff" + "\r\n\r\n".join(json.dumps(event) for event in SMALL)
    ),
    "a JSON array": lambda: json.dumps(SMALL),
    "a JSON array over many lines": lambda: json.dumps(SMALL, indent=2),
    "EDN": lambda: "".join(f"{edn(event)}\n" for event in SMALL),
    "EDN of tagged maps": lambda: "".join(f"#jepsen.history.Op{edn(event)}\n" for event in SMALL),
    "a vector of EDN": lambda: edn(SMALL),
    "a list of EDN with comments": lambda: "; events\n(" + " ; next\n".join(map(edn, SMALL)) + "\n)\n",
    "a map of EDN over many lines": lambda: "\n".join(edn(event).replace(", ", ",\n  ") for event in SMALL),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_alike(tmp_path: Path, form: str, pack: Callable[[bytes], bytes]) -> None:
    """The form is known by its content, not by the file's name; events that are no transaction's are passed over."""
    path = tmp_path / "history"
    path.write_bytes(pack(FORMS[form]().encode()))
    history = list_append.read(path)
    assert operations(history) == "w0.1 r1.1 | w1.1"
    assert history.invoke.tolist() == [0, 2]
    assert history.complete.tolist() == [3, 4]
    assert [history.names.row(row) for row in (0, 1)] == ["key 1", 'key "y"']
    assert history.names.transaction(0) == "index 3, process 0"


def test_a_long_line_of_edn_is_read_in_pieces(tmp_path: Path) -> None:
    """Strings and comments may contain the brackets at which such a line is cut."""
    one = '{:type :ok, :process 0, :error "}} \\" }", :value [[:append 1 %d]]}'
    path = tmp_path / "history.edn"
    path.write_text("[" + " ".join(one % number for number in range(9000)) + " ; }}} {\n]")
    assert list_append.read(path).size == 9000


def test_keywords_are_keys_and_elements(tmp_path: Path) -> None:
    """What stands in EDN is told as it stands there."""
    path = tmp_path / "history.edn"
    path.write_text("{:type :ok, :process 0, :value [[:append :x :a] [:r :x [:a]]]}")
    history = list_append.read(path)
    assert (history.names.row(0), history.names.version(0, 1)) == ("key :x", "element :a")


def test_a_read_has_the_length_of_its_list_as_version(tmp_path: Path) -> None:
    """An append has its element's place in the longest list."""
    history = told(tmp_path, "0= ax1 | 1= ax2 | 0= rx | 1= rx12 | 0= rx1")
    assert operations(history) == "w0.1 | w0.2 | r0.0 | r0.2 | r0.1"
    assert [history.names.version(0, version) for version in range(4)] == ["", "element 1", "element 2", ""]


def test_transactions_are_numbered_as_they_complete(tmp_path: Path) -> None:
    """Their times are the places of their events, whatever the clock said; a session is a process."""
    history = told(tmp_path, "0> rx | 1> ax1 | 1+ ax1 | 0+ rx1 | 0> ax2 | 0- ax2")
    assert history.status.tolist() == [COMMITTED, COMMITTED, ABORTED]
    assert history.invoke.tolist() == [1, 0, 4]
    assert history.complete.tolist() == [2, 3, 5]
    assert history.session.tolist() == [0, 1, 1]


def test_a_process_that_goes_on_after_an_unknown_end_is_another_session(tmp_path: Path) -> None:
    """Nobody knows whether the earlier transaction has ended by then."""
    history = told(tmp_path, "0= ax1 | 0> ax2 | 0? ax2 | 0= ax3 | 0> ax4")
    assert history.session.tolist() == [0, 0, 1, 1]
    assert history.status.tolist() == [COMMITTED, UNKNOWN, COMMITTED, UNKNOWN]
    assert history.complete.tolist() == [1, NEVER, 5, NEVER]


def test_nobody_knows_when_a_completion_without_an_invocation_began(tmp_path: Path) -> None:
    """In histories of completions alone no transaction is taken to have begun after another's end."""
    history = told(tmp_path, "0+ ax1 | 0- ax2 | 0? ax3")
    assert [-1, -1, -1] == history.invoke.tolist()
    assert history.complete.tolist() == [0, 1, NEVER]


def test_failed_and_unknown_transactions_have_the_appends_of_their_invocations(tmp_path: Path) -> None:
    """What they read isn't known, whatever their completions say."""
    invoked = events("0> ax1 rx | 1> ax2 rx")
    completed: list[dict[str, Any]] = [
        {"type": "fail", "process": 0, "value": "aborted"},
        {"type": "info", "process": 1, "error": "timeout", "value": [["r", "x", [1, 2]]]},
    ]
    history = list_append.read(written(tmp_path, [*invoked, *completed]))
    assert operations(history) == "w0.? | w0.?"


def test_names_tell_where_an_event_stands(tmp_path: Path) -> None:
    """By the index that the file gives; else by the line; else, where many stand on one line, by their number."""
    lines = told(tmp_path, "0= ax1 | 3= rx1")
    assert lines.names.transaction(1) == "line 4, process 3"
    assert lines.names.details(1) == {"process": 3, "index": None, "lines": [3, 4], "type": "ok"}
    path = tmp_path / "h.json"
    path.write_text(json.dumps(events("0= ax1 | 3= rx1")))
    assert list_append.read(path).names.transaction(1) == "event 4, process 3"


def test_an_unknown_transaction_counts_once_any_of_its_elements_was_read(tmp_path: Path) -> None:
    """It is committed then, and never completes; else its appends have no version."""
    history = told(tmp_path, "0> ax1 ay1 | 0? ax1 ay1 | 1> ax2 | 1? ax2 | 2= rx1")
    assert history.status.tolist() == [COMMITTED, UNKNOWN, COMMITTED]
    assert history.complete.tolist() == [NEVER, NEVER, 5]
    assert operations(history) == "w0.1 w1.1 | w0.? | r0.1"
    assert [history.names.details(number)["type"] for number in range(3)] == ["info", "info", "ok"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0= ax1", "w0.1"),
        ("0> ax1 | 0? ax1 | 1= rx", "w0.? | r0.0"),
        ("0= ax1 ax2 | 1= rx", "w0.1 w0.2 | r0.0"),
        ("0= ax1 | 1= ax2 ax3 | 1= rx1", "w0.1 | w0.2 w0.3 | r0.1"),
        ("0= ax1 ax2 | 1= rx1", "w0.1 w0.2 | r0.1"),
        ("0> ax1 | 0- ax1 | 1= ax2", "w0.? | w0.1"),
        ("0> ax1 | 0? ax1 | 1= ax2 | 1= rx", "w0.? | w0.1 | r0.0"),
    ],
)
def test_what_one_transaction_appended_unread_comes_next(tmp_path: Path, text: str, expected: str) -> None:
    """In program order after all that was read, if it is committed and no other appended to the key unread."""
    history = told(tmp_path, text)
    assert (operations(history), edges(history)) == (expected, [])


def test_an_unread_version_has_its_element_as_name(tmp_path: Path) -> None:
    """As every other version has."""
    history = told(tmp_path, "0= ax7 | 1= ax5 | 0= rx7")
    assert history.names.version(0, 2) == "element 5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Nothing was read: whoever read nothing comes before both.
        ("0= ax1 | 1= ax2 | 2= rx", [(2, "rw", 0, 0), (2, "rw", 1, 0)]),
        # What was read last, its writer and its readers come before both.
        (
            "0= ax1 | 1= ax2 | 2= ax3 | 3= rx1 | 4= rx",
            [(0, "ww", 1, 0), (0, "ww", 2, 0), (3, "rw", 1, 0), (3, "rw", 2, 0)],
        ),
        # Nobody depends on himself.
        ("0= ax1 | 1= rx1 ax2 | 2= ax3", [(0, "ww", 1, 0), (0, "ww", 2, 0), (1, "rw", 2, 0)]),
        # An element that a failed transaction appended is stepped over.
        (
            "0= ax1 | 1> ax2 | 1- ax2 | 2= ax3 | 3= ax4 | 4= rx12",
            [(0, "ww", 2, 0), (0, "ww", 3, 0), (4, "rw", 2, 0), (4, "rw", 3, 0)],
        ),
        # Unknown ones that nobody saw take no part.
        ("0> ax1 | 0? ax1 | 1= ax2 | 2= ax3 | 3= rx", [(3, "rw", 1, 0), (3, "rw", 2, 0)]),
    ],
)
def test_what_several_appended_unread_has_dependencies_only(
    tmp_path: Path, text: str, expected: list[tuple[int, str, int, int]]
) -> None:
    """Nobody knows their order, but all come after what was read."""
    assert edges(told(tmp_path, text)) == expected


def test_rows_with_too_many_dependencies_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small ones are kept."""
    path = written(tmp_path, events("0= ax1 | 1= ax2 | 2= rx ry rz | 0= ay1 | 1= ay2 | 1= ay3 | 0= az1 | 1= az2"))
    gathered = Gathered(path)
    for line, event in read_events(path):
        gathered.take(line, event)
    made = unread(ordered(gathered), most=4)
    assert (np.unique(made.edges.row).tolist(), made.left_out.tolist()) == ([0, 2], [1])
    monkeypatch.setattr(list_append_edges, "_EVER", -40)
    reason = 'too many transactions appended to key "x" and 2 more keys what nobody read'
    assert list_append.read(path).not_checked == {"dependencies of unread appends": reason}


@pytest.mark.parametrize(
    ("text", "expected", "explicit"),
    [
        # The longest list rules; a list that isn't its beginning counts by its last element.
        ("0= ax1 ax2 ax3 | 1= rx123 | 2= rx2", "w0.1 w0.2 w0.3 | r0.3 | r0.2", []),
        # Of two that are equally long, the first in the file.
        ("0= ax1 | 1= ax2 | 2= rx12 | 3= rx21", "w0.1 | w0.2 | r0.2 | r0.1", []),
        # An element that isn't in the longest list has no version, but its writer comes before who read it.
        (
            "0= ax1 ax2 | 1= ax3 | 2= rx12 | 3= rx3",
            "w0.1 w0.2 | w0.3 | r0.2 | r0.?",
            [(1, "wr", 3, 0)],
        ),
        # An element that nobody appended comes from nobody.
        ("0= ax1 ax2 | 2= rx12 | 3= rx3", "w0.1 w0.2 | r0.2 | r0.?", []),
        # An element that stands twice counts where it stood first.
        ("0= ax1 ax2 | 1= rx121 | 2= rx12", "w0.1 w0.2 | r0.1 | r0.2", []),
    ],
)
def test_lists_that_contradict_each_other(
    tmp_path: Path, text: str, expected: str, explicit: list[tuple[int, str, int, int]]
) -> None:
    """Still have one order, so that the rest of the history can be judged."""
    history = told(tmp_path, text)
    assert (operations(history), edges(history)) == (expected, explicit)


def test_a_key_may_have_many_contradicting_lists(tmp_path: Path) -> None:
    """Each is remembered, though a new list is compared with a few only."""
    pairs = [(one, other) for one in range(1, 10) for other in range(1, 10) if one != other]
    reads = " | ".join(f"1= rx{one}{other}" for one, other in (*pairs, *pairs))
    history = told(tmp_path, f"0= {' '.join(f'ax{number}' for number in range(1, 10))} | {reads}")
    assert history.counts["incompatible-order"] == 1
    assert [some.anomaly for some in history.found].count("incompatible-order") == 1
    known = {2: 2, 1: 1}
    expected = [known.get(other, -1) for _, other in (*pairs, *pairs)]
    assert history.version[~history.write].tolist() == expected


@pytest.mark.skipif(not DATA.is_dir(), reason="the reference histories aren't there")
def test_elle_finds_the_same_without_a_graph() -> None:
    """In 96 histories; four of these anomalies occur in them, and many show none."""
    folder = DATA / "list-append"
    verdicts = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]
    expected = {one["file"]: DIRECT & set(one["anomalies"]) for one in verdicts}
    actual = {one["file"]: set(list_append.read(folder / one["file"]).counts) for one in verdicts}
    assert expected == actual


@pytest.mark.skipif(not DATA.is_dir(), reason="the reference histories aren't there")
def test_published_histories_read_alike_in_both_notations() -> None:
    """As EDN and as JSON."""
    folder = DATA / "elle-cli" / "elle"
    expected = "w0.1 w0.2 w0.3 w1.1 w1.2 w1.3 w1.4 w2.1 w2.2 | w1.5 r0.3 | w2.3 r1.5 r2.3 r0.3 | w3.1 r0.3 r1.4 w2.4"
    for name in ("paper-example.edn", "paper-example.json"):
        assert operations(list_append.read(folder / name)) == expected
