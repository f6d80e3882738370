"""Writing a document and reading it again changes nothing; the JSON Schema agrees with the loader."""

import json
import warnings
from pathlib import Path

import hypothesis.strategies as st
import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from hannah_hw import SearchSpace, catalog
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import load_document, parse_space
from hannah_hw.spaces.declarative.dump import dump, to_data
from hannah_hw.spaces.declarative.lookup import Lookup
from hannah_hw.spaces.declarative.problems import SpaceWarning
from hannah_hw.spaces.declarative.schema import json_schema

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*(ROOT / "tests/fixtures/vega").glob("*.yaml"), *(ROOT / "search_spaces").glob("*.yaml")])
LOOKUP = Lookup(Path(__file__).parent / "fixtures", allow_code=True)

pytestmark = pytest.mark.filterwarnings("ignore::hannah_hw.spaces.declarative.problems.SpaceWarning")


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


def graph(document):
    """Everything that a graph is, as text: nodes with their operands, attributes and shapes, and the parameters."""
    space = SearchSpace(build(document).output)
    nodes = [
        (node.id, [operand.id for operand in node.operands], str(node.expressions()), str(node.shape()))
        for node in space.order
    ]
    return nodes, {name: (p.levels, p.default) for name, p in space.parameters.items()}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_shipped_documents_and_those_of_the_guide_are_written_and_read_again(path, validator):
    document = load_document(path)
    text = dump(document)
    assert text.startswith(f"format: hannah-space/1\nname: {path.stem}\n")
    again = parse_space(text)
    assert again == document
    assert graph(again) == graph(document)
    assert not list(validator.iter_errors(yaml.safe_load(text)))


def numbers(low=1, high=64):
    return st.integers(low, high)


def values(low=1, high=64):
    """A number or a parameter."""
    number = numbers(low, high)
    ordered = st.lists(number, min_size=2, max_size=2).map(sorted)
    return st.one_of(
        number,
        st.lists(number, min_size=1, max_size=4, unique=True).map(lambda c: {"choice": c}),
        st.lists(number, min_size=2, max_size=4, unique=True).map(lambda c: {"choice": c, "default": c[-1]}),
        ordered.map(lambda b: {"int": {"min": b[0], "max": b[1]}}),
        st.tuples(ordered, numbers(1, 9)).map(
            lambda t: {"int": {"min": t[0][0], "max": t[0][1], "step": t[1], "log": True, "default": t[0][0]}}
        ),
    )


def several(low=1, high=64):
    """A value, a list, a code, or a choice of lists."""
    number = numbers(low, high)
    rows = st.integers(1, 3).flatmap(
        lambda n: st.lists(st.lists(number, min_size=n, max_size=n), min_size=1, max_size=3, unique_by=tuple)
    )
    return st.one_of(
        values(low, high),
        st.lists(values(low, high), min_size=1, max_size=4),
        rows.map(lambda r: {"choice": r, "default": r[-1]}),
        st.tuples(st.lists(number, min_size=1, max_size=4, unique=True), numbers(1, 9)).map(
            lambda t: {"code": {"length": t[1], "choices": t[0]}}
        ),
        st.lists(st.sampled_from([0, 1]), min_size=1, max_size=5).map(
            lambda code: {"code": {"default": [1 + c for c in code], "choices": [1, 2], "ones": "free"}}
        ),
    )


reals = st.floats(0.001, 1000, allow_nan=False)
slopes = st.one_of(
    reals,
    st.integers(0, 5),
    st.lists(reals, min_size=2, max_size=2).map(
        lambda b: {"float": {"min": min(b), "max": max(b), "log": True}}
    ),
)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("SmallInputInitialBlock"), "init_plane": values()}),
    st.fixed_dictionaries(
        {"type": st.just("blocks.py:convolutions"), "widths": several()},
        optional={"slope": slopes, "same": st.one_of(st.booleans(), st.just({"choice": [True, False]}))},
    ),
    st.fixed_dictionaries({"type": st.just("View")}),
)
nested = st.fixed_dictionaries(
    {
        "type": st.just("Repeat"),
        "num_reps": numbers(1, 4),
        "items": st.dictionaries(st.sampled_from(["outchannel", "stride", "block.x"]), several(), max_size=3),
        "ref": st.one_of(blocks, st.lists(blocks, min_size=1, max_size=3).map(lambda b: {"choice": b})),
    }
)
modules = st.one_of(
    blocks, nested, st.lists(blocks, min_size=2, max_size=3).map(lambda b: {"choice": b, "default": 1})
)
names = st.text(st.sampled_from("abcXYZ019_-"), min_size=1, max_size=8).filter(lambda name: name != "process")
prune = st.fixed_dictionaries({"type": st.just("Prune")}, optional={"init_model_file": st.text(max_size=12)})
quant = st.fixed_dictionaries({"type": st.just("Quant"), "nbit_w_list": several(1, 16)})
documents = st.fixed_dictionaries(
    {"format": st.just("hannah-space/1"), "modules": st.dictionaries(names, modules, min_size=1, max_size=4)},
    optional={
        "name": names,
        "input": st.lists(numbers(1, 99), min_size=2, max_size=3),
        "process": st.lists(st.one_of(quant, prune), max_size=2),
        "search_algorithm": st.fixed_dictionaries(
            {"type": st.sampled_from(["BackboneNas", "nsga2"])}, optional={"codec": st.text(max_size=9)}
        ),
    },
)


@settings(deadline=None, max_examples=80)
@given(documents)
def test_any_document_is_written_and_read_again(data):
    document = parse_space(yaml.safe_dump(data, allow_unicode=True), "f.yaml", lookup=LOOKUP)
    text = dump(document)
    again = parse_space(text, "g.yaml", lookup=LOOKUP)
    assert again == document
    assert dump(again) == text
    # Nothing is added, and nothing is lost but what is empty or the default.
    written = to_data(document)
    assert written["modules"] == data["modules"]
    assert list(written["modules"]) == sorted(data["modules"])
    assert written.get("process", []) == data.get("process", [])
    assert written.get("search_algorithm") == data.get("search_algorithm")
    assert (written["name"], written["input"]) == (data.get("name", "f"), data.get("input", [3, 32, 32]))


@settings(deadline=None, max_examples=60)
@given(documents)
def test_the_schema_accepts_what_the_loader_accepts(validator, data):
    document = parse_space(yaml.safe_dump(data, allow_unicode=True), "f.yaml", lookup=LOOKUP)
    assert not list(validator.iter_errors(to_data(document)))
    assert not list(validator.iter_errors(data))


HEAD = {"format": "hannah-space/1"}


@pytest.mark.parametrize(
    "data",
    [
        {"format": "hannah-space/2", "modules": {"a": {"type": "View"}}},
        {**HEAD, "modules": {}},
        {**HEAD, "module": {"a": {"type": "View"}}},
        {**HEAD, "modules": {"a b": {"type": "View"}}},
        {**HEAD, "modules": {"a": {"type": "Veiw"}}},
        {**HEAD, "modules": {"a": {"type": "View", "axis": 1}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock"}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock", "init_plane": "wide"}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock", "init_plane": 0}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock", "init_plane": {"int": {"min": 1}}}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock", "init_plane": {"choice": []}}}},
        {**HEAD, "modules": {"a": {"type": "InitialBlock", "init_plane": {"chioce": [1]}}}},
        {**HEAD, "modules": {"a": {"choice": [{"type": "View"}, {"type": "InitialBlock", "init_plan": 1}]}}},
        {**HEAD, "modules": {"a": {"type": "View"}}, "process": [{"type": "View"}]},
        {**HEAD, "modules": {"a": {"type": "View"}}, "input": [3]},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator, data):
    with pytest.raises(SpaceError):
        build(parse_space(yaml.safe_dump(data)))
    assert list(validator.iter_errors(data))


def test_an_inner_block_may_leave_to_the_outer_one_what_that_determines(validator):
    layer = {"type": "VariantLayer", "block": {"type": "BasicBlock"}, "doublechannel": [0], "downsample": [0]}
    assert not list(validator.iter_errors({**HEAD, "modules": {"layer": layer}}))
    assert list(validator.iter_errors({**HEAD, "modules": {"layer": {"type": "BasicBlock"}}}))


def test_the_schema_explains_blocks_and_their_defaults():
    schema = json_schema()
    resnet = schema["$defs"]["ResNet"]
    assert resnet["description"].endswith(".")
    assert resnet["properties"]["num_class"]["default"] == 10
    assert "default" not in resnet["properties"]["depth"]
    assert schema["$schema"].endswith("2020-12/schema")


def test_equal_values_are_repeated_rather_than_referred_to():
    text = (
        "format: hannah-space/1\nmodules:\n  a: &x {type: SmallInputInitialBlock, init_plane: 3}\n  b: *x\n"
        "  c: {<<: *x, init_plane: 4}\n"
    )
    written = dump(parse_space(text))
    assert "&" not in written
    assert "*" not in written
    assert parse_space(written) == parse_space(text)


def test_warnings_of_an_upgrade_are_gone_once_it_is_written():
    path = ROOT / "tests/fixtures/vega/searched_variant_layer.yaml"
    text = dump(load_document(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SpaceWarning)
        assert parse_space(text, str(path)).site.warnings == []
    assert "search_algorithm: {type: BackboneNas}" in text


def test_every_yaml_space_of_the_catalogue_is_among_the_documents_here():
    yaml_spaces = {
        name for name in catalog.names("search_spaces") if catalog.find("search_spaces", name).suffix != ".py"
    }
    assert yaml_spaces <= {path.stem for path in DOCUMENTS}
