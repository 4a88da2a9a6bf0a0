from __future__ import annotations

import json
import subprocess
import unicodedata

import pytest

from pyg_stgcn.text import joined, printable, readable, shell_word, shorten, suggestion, to_json

#: A name that clears the screen, colours what follows, writes backwards and spans two lines.
EVIL = "\x1b[2J\x9b31mred\u202e\u2066back\r\nline\u2028end\x00\x7f"


def test_nothing_that_steers_a_terminal_is_left() -> None:
    shown = printable(EVIL)
    assert shown == r"\x1b[2J\x9b31mred\u202e\u2066back\r\nline\u2028end\x00\x7f"
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


def test_data_without_a_benchmark_are_not_called_none() -> None:
    assert joined("list.pkl", None, "val") == "list.pkl, val"


@pytest.mark.parametrize(
    "text", ["walk [slow]", "a\\b", "C:\\x", "日本語", "é\u00a0è", "می\u200cروم", "🏃\u200d♀️", ""]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_half_a_surrogate_pair_can_be_printed() -> None:
    # So Python holds a byte of a file name that is not UTF-8.
    assert printable("caf\udce9").encode() == b"caf\\udce9"


def test_blank_names_are_seen() -> None:
    assert readable("") == "''" and readable("  ") == "'  '" and readable("a b") == "a b"


@pytest.mark.parametrize("most", [3, 10, 11])
def test_long_names_keep_both_ends(most: int) -> None:
    text = f"begin{'x' * 10_000}end"
    short = shorten(text, most)
    assert len(short) == most and "…" in short
    assert short[0] == "b" and short[-1] == "d"
    assert shorten("x" * most, most) == "x" * most


@pytest.mark.parametrize("text", [EVIL, "日本語 🏃", "caf\udce9", "\U000e0041 tag", 'q"\\'])
def test_json_holds_every_text_exactly_and_can_be_printed(text: str) -> None:
    written = to_json({text: [text]})
    assert printable(written, keep="\n") == written
    assert json.loads(written.encode()) == {text: [text]}


def test_json_keeps_letters_of_all_languages() -> None:
    assert "日本語 é" in to_json(["日本語 é"])


@pytest.mark.parametrize("word", ["plain", "two words", "it's", EVIL.replace("\x00", ""), "é\n'\\"])
def test_a_shell_gets_the_same_word_back(word: str) -> None:
    line = f"printf %s {shell_word(word)}"
    assert printable(line) == line
    said = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert said.decode() == word


def test_suggestions_name_what_is_most_alike() -> None:
    choices = ("spatial", "spatials", "uniform")
    assert suggestion("spacial", choices) == " (did you mean 'spatial'?)"
    assert suggestion("spacial", choices, most=3) == " (did you mean 'spatial' or 'spatials'?)"
    assert suggestion("xyz", choices) == suggestion("spatial" * 100, ["spatial" * 101]) == ""
