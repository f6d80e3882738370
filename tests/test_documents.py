"""YAML from strangers is parsed safely, and every complaint says where."""

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hannah_hw.documents import MAX_BYTES, MAX_DEPTH, parse_document, read_document
from hannah_hw.errors import ConfigError, InputError


def parse(text):
    return parse_document(text, "f.yaml", ConfigError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: not valid YAML: the key 'a' occurs twice"),
        ("a:\n  b: 1\n  b: 2", "f.yaml:3: .*'b' occurs twice"),
        ("a: &x [1]\nb: *x", "f.yaml:2: .*aliases are not allowed"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f.yaml:1: .*could not determine a constructor for the tag",
        ),
        ("a: !mine 3", "could not determine a constructor"),
        ("a: [1, 2", "f.yaml:1: not valid YAML"),
        ("? [1, 2]\n: 3", "unhashable key"),
        ("a: 1\n---\nb: 2", "another document"),
        ("- 1\n- 2", "must be a mapping"),
        ("", "must be a mapping"),
        ("3", "must be a mapping"),
        ("a: \x00", "special characters are not allowed"),
        ("a: 2001-99-99", "month must be in 1..12"),
        ("a: 0b_", "not valid YAML"),
        ("a: " + "9" * 5000, "not valid YAML"),
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
    assert document.where(("b", "c")) == "f.yaml:3 b.c"
    assert document.where(("b", "d", 1, "e")) == "f.yaml:6 b.d.1.e"
    # What is missing is reported where it should be.
    assert document.where(("b", "x")) == "f.yaml:2 b.x"


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
        ("name: x\ninner:\n  coutn: 3", "f.yaml:3 inner.coutn: unknown field 'coutn'.*did you mean 'count'"),
        ("nmae: x", "f.yaml:1 nmae: unknown field 'nmae'; allowed: inner, name; did you mean 'name'"),
        ("inner: {count: 1}", "the field 'name' is missing"),
        ("name: x\ninner:\n  count: 0", r"f.yaml:3 inner.count: .*greater than or equal to 1 \(given: 0\)"),
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
    with pytest.raises(InputError, match="cannot read the file"):
        read_document(tmp_path / "latin.yaml", InputError)
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="larger than"):
        read_document(tmp_path / "large.yaml", InputError)
    (tmp_path / "good.yaml").write_text("a: é")
    assert read_document(tmp_path / "good.yaml", InputError).data == {"a": "é"}
