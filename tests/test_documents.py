"""YAML from strangers is parsed safely, and every complaint says where."""

import os

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hannah_hw.documents import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_document, read_document
from hannah_hw.errors import ConfigError, InputError


def parse(text):
    return parse_document(text, "f.yaml", ConfigError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: not valid YAML: the key 'a' occurs twice"),
        ("a:\n  b: 1\n  b: 2", "f.yaml:3:3: .*'b' occurs twice"),
        ("a: &x [*x]", f"f.yaml:1:4: .*nested deeper than {MAX_DEPTH}"),
        ("a: &x {<<: *x}", "f.yaml:1:8: .*merges mappings, and none into itself"),
        ("a: {<<: 3}", "f.yaml:1:5: .*merges mappings"),
        ("a: *x", "f.yaml:1:4: .*undefined alias"),
        (
            "\n".join(f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10 if i else '0')}]" for i in range(9)),
            f"more than {MAX_VALUES} values, aliases expanded",
        ),
        ("a: !!python/tuple [1, [2]]", "f.yaml:1:4: .*tuple must be a list of plain values"),
        ("a: !!python/tuple 3", "f.yaml:1:4: .*tuple must be a list of plain values"),
        ("a: 1\nb: !!python/name:os.system", "f.yaml:2:4: .*could not determine a constructor for the tag"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml:1:4: .*could not determine a constructor for the tag",
        ),
        ("a: !mine 3", "could not determine a constructor"),
        ("a: [1, 2", "f.yaml:1:9: not valid YAML"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("a: 1\n---\nb: 2", "another document"),
        ("- 1\n- 2", "must be a mapping"),
        ("", "must be a mapping"),
        ("3", "must be a mapping"),
        (
            "a: 1\nb: \x00",
            "f.yaml:2: not valid YAML: the character U.0000: special characters are not allowed",
        ),
        ("a: 1\nb: 2001-99-99", "f.yaml:2:4: .*'2001-99-99' cannot be read: month must be in 1..12"),
        ("a: [0b_]", "f.yaml:1:5: not valid YAML"),
        ("a: 1\nb: 010", "f.yaml:2:4: .*010 is 8 in YAML 1.1; write 8, or quote it"),
        ("a: 1:30", "f.yaml:1:4: .*1:30 is 90 in YAML 1.1"),
        (
            "a: " + "9" * 5000,
            r"f.yaml:1:4: .*'9{59}\.\.\. is too large; integers are at most 9223372036854775807",
        ),
        ("a: -9223372036854775808", "f.yaml:1:4: .* is too large"),
        ("a: " + "[" * 5000 + "]" * 5000, f"nested deeper than {MAX_DEPTH}"),
        ("a: " + "[" * 70 + "]" * 70, f"nested deeper than {MAX_DEPTH}"),
        ("\n".join(f"{' ' * i}k:" for i in range(100)), f"nested deeper than {MAX_DEPTH}"),
        ("a: " + "x" * MAX_BYTES, "larger than"),
    ],
)
def test_bad_documents_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_depth_within_the_limit_is_fine():
    document = parse("a: " + "[" * 60 + "]" * 60)
    assert isinstance(document.data["a"], list)


def test_fields_know_their_lines():
    document = parse("a: 1\nb:\n  c: 2\n  d:\n    - 3\n    - e: 4\n")
    assert document.data == {"a": 1, "b": {"c": 2, "d": [3, {"e": 4}]}}
    assert document.where(("b", "c")) == "f.yaml:3:3 b.c"
    assert document.where(("b", "d", 1, "e")) == "f.yaml:6:7 b.d.1.e"
    # What is missing is reported where it should be.
    assert document.where(("b", "x")) == "f.yaml:2:1 b.x"


def test_aliases_and_merges_are_copies_of_what_they_stand_for():
    document = parse("a: &x {p: 1, q: [2]}\nb: *x\nc: {<<: *x, p: 3}\nd: {<<: [{p: 4}, *x], r: 5}")
    assert document.data == {
        "a": {"p": 1, "q": [2]},
        "b": {"p": 1, "q": [2]},
        "c": {"p": 3, "q": [2]},
        "d": {"p": 4, "q": [2], "r": 5},
    }
    assert document.where(("c", "p")) == "f.yaml:3:13 c.p"
    # What is merged stands where it is written.
    assert document.where(("c", "q", 0)) == "f.yaml:1:18 c.q.0"


def test_nested_merges_of_merges_stay_linear():
    text = "{p: 1}"
    for index in range(28):
        text = f"{{<<: [&a{index} {text}, *a{index}]}}"
    assert parse(f"a: {text}").data == {"a": {"p": 1}}


def test_plain_numbers_stay_what_they_look_like():
    text = "{a: 0, b: -7, c: 1_000, d: 0x10, e: +3, f: '010', g: 1e-4, h: 1.0e-4}"
    assert parse(text).data == {
        "a": 0, "b": -7, "c": 1000, "d": 16, "e": 3, "f": "010", "g": "1e-4", "h": 1e-4,
    }  # fmt: skip


def test_a_tuple_is_the_one_python_tag_and_becomes_a_list():
    assert parse("a: !!python/tuple [1, b]").data == {"a": [1, "b"]}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner | None = None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: x\ninner:\n  coutn: 3",
            "f.yaml:3:3 inner.coutn: unknown field 'coutn'.*did you mean 'count'",
        ),
        ("nmae: x", "f.yaml:1:1 nmae: unknown field 'nmae'; allowed: inner, name; did you mean 'name'"),
        ("inner: {count: 1}", "the field 'name' is missing"),
        ("name: x\ninner:\n  count: 0", r"f.yaml:3:3 inner.count: must be at least 1 \(given: 0\)"),
    ],
)
def test_wrong_fields_say_where_and_what_is_allowed(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text).validate(Outer, ConfigError)


def test_valid_documents_become_models():
    assert parse("name: x\ninner: {count: 3}").validate(Outer, ConfigError).inner.count == 3


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot read the file"):
        read_document(tmp_path / "missing.yaml", InputError)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(InputError, match="is no UTF-8 text"):
        read_document(tmp_path / "latin.yaml", InputError)
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="larger than"):
        read_document(tmp_path / "large.yaml", InputError)
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in (".", "pipe.yaml"):
        with pytest.raises(InputError, match="is no regular file"):
            read_document(tmp_path / name, InputError)
    (tmp_path / "good.yaml").write_text("a: é")
    assert read_document(tmp_path / "good.yaml", InputError).data == {"a": "é"}
