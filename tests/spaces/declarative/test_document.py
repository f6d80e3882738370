"""The format hannah-space/1: what its sections mean, and where its mistakes are."""

from pathlib import Path

import pytest

import hannah_hw
from hannah_hw import SearchSpace
from hannah_hw.errors import CatalogError, SpaceError
from hannah_hw.graph import resolve
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import load_document, parse_space
from hannah_hw.spaces.declarative.problems import SpaceWarning

HEAD = "format: hannah-space/1\nmodules:\n"
STEM = "  stem: {type: SmallInputInitialBlock, init_plane: 8}\n"
CLASSIFIER = "  head: {type: LinearClassificationHead, num_class: 10}\n"


def load(text, **options):
    return SearchSpace(build(parse_space(text, "my_net.yaml"), **options).output)


def plan(space, **assignment):
    return resolve(space.order, space.outputs, assignment)


def test_modules_follow_each_other_and_name_the_nodes():
    space = load(HEAD + STEM + "  last: {type: View}\n")
    assert [node.id for node in space.order if not node.id.endswith(("weight", "bias", "mean", "var"))] == [
        "my_net_0.input",
        "my_net_0.stem_0.Conv2d_0",
        "my_net_0.stem_0.BatchNorm_0",
        "my_net_0.stem_0.Relu_0",
        "my_net_0.last_0.Flatten_0",
    ]
    assert space.outputs[0].shape() == (1, 8 * 32 * 32)


def test_the_name_is_that_of_the_document_or_of_its_file():
    assert load(HEAD + STEM).order[0].id == "my_net_0.input"
    assert load("name: other\n" + HEAD + STEM).order[0].id == "other_0.input"
    assert parse_space(HEAD + STEM, "/some where/my net.v2.yaml").name == "my_net_v2"


def test_the_input_is_that_of_the_document_or_the_one_that_is_asked_for():
    assert load(HEAD + STEM).inputs[0].shape() == (1, 3, 32, 32)
    assert load("input: [1, 28, 30]\n" + HEAD + STEM).inputs[0].shape() == (1, 1, 28, 30)
    asked = load("input: [1, 28, 30]\n" + HEAD + STEM, input_shape=(2, 8, 8))
    assert asked.inputs[0].shape() == (1, 2, 8, 8)
    assert asked.inputs[0].axis == ("N", "C", "H", "W")
    with pytest.raises(SpaceError, match=r"input_shape is \(3, 0, 8\); give \(channels, length\) or"):
        load(HEAD + STEM, input_shape=(3, 0, 8))


def test_the_classes_that_are_asked_for_replace_those_of_the_last_block_that_has_some():
    document = HEAD + STEM + "  a: {type: Linear, out_features: 20}\n  b: {type: Linear, out_features: 10}\n"
    assert load(document).outputs[0].shape() == (1, 10)
    with pytest.warns(
        SpaceWarning, match=r"my_net.yaml:5:21 b.out_features: is 10, but 7 classes.*W_CLASSES"
    ):
        space = load(document, classes=7)
    # 8 channels of 32x32 into 20, and those into 7.
    linear = [node.shape() for node in space.order if node.id.endswith("Linear_0")]
    assert linear == [(1, 20), (1, 7)]


def test_a_choice_of_modules_is_one_parameter_and_builds_what_each_alone_would():
    options = [
        "{type: BasicBlock, inchannel: 8, outchannel: 8}",
        "{type: BottleneckBlock, inchannel: 8, outchannel: 4, stride: 2}",
    ]
    space = load(f"{HEAD}{STEM}  block: {{choice: [{', '.join(options)}], default: 1}}\n{CLASSIFIER}")
    assert {name: p.levels for name, p in space.parameters.items()} == {"block": (0, 1)}
    assert space.default() == {"block": 1}
    for index, option in enumerate(options):
        alone = load(f"{HEAD}{STEM}  block: {option}\n{CLASSIFIER}").candidate({})
        chosen = space.candidate({"block": index})
        assert (chosen.macs, chosen.parameters) == (alone.macs, alone.parameters)
        assert [s.shape for s in plan(space, block=index).steps] == [s.shape for s in alone.plan.steps]


def test_a_choice_of_inner_blocks_is_shared_by_all_their_uses():
    layer = (
        "  layer: {{type: VariantLayer, in_plane: 8, doublechannel: [0, 1], downsample: [0, 1], block: {}}}\n"
    )
    space = load(
        HEAD + STEM + layer.format("{choice: [{type: BasicBlock}, {type: BottleneckBlock}]}") + CLASSIFIER
    )
    assert list(space.parameters) == ["layer.block"]
    for index, name in enumerate(("BasicBlock", "BottleneckBlock")):
        alone = load(HEAD + STEM + layer.format(f"{{type: {name}}}") + CLASSIFIER).candidate({})
        chosen = space.candidate({"layer.block": index})
        assert (chosen.macs, chosen.parameters) == (alone.macs, alone.parameters)


def test_parameters_inside_of_an_option_count_only_where_it_is_chosen():
    searched = "{type: BasicBlock, inchannel: 8, outchannel: {choice: [8, 16]}}"
    fixed = "{type: BasicBlock, inchannel: 8, outchannel: 4}"
    space = load(f"{HEAD}{STEM}  block: {{choice: [{searched}, {fixed}]}}\n{CLASSIFIER}")
    assert set(space.parameters) == {"block", "block.choice.0.outchannel"}
    assert set(space.candidate({"block": 1}).assignment) == {"block"}
    assert set(space.candidate({"block": 0}).assignment) == {"block", "block.choice.0.outchannel"}


def test_what_nothing_depends_on_is_warned_of():
    built = build(parse_space(HEAD + STEM.replace("8}", "{choice: [8, 9]}}"), "f.yaml"))
    with pytest.warns(SpaceWarning, match=r"f.yaml:3:40 stem.init_plane: is a parameter, but.*W_UNUSED"):
        built.warn_of_unused(())


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a: 3", "E_FORMAT", "f.yaml:1:1: this is no search space: .*write 'format: hannah-space/1'"),
        (
            "format: hannah-space/2\nmodules: {a: {type: View}}",
            "E_VALUE",
            "f.yaml:1:1 format: .*'hannah-space/1'",
        ),
        ("format: hannah-space/1", "E_MISSING", "f.yaml:1:1: the field 'modules' is missing"),
        ("format: hannah-space/1\nmodlues: {}", "E_FIELD", "f.yaml:2:1 modlues: .*did you mean 'modules'"),
        (
            "format: hannah-space/1\nmodules: {}",
            "E_VALUE",
            "f.yaml:2:1 modules: has 0 entries; it needs 1 or more",
        ),
        (
            HEAD + "  a b: {type: View}",
            "E_VALUE",
            "f.yaml:3:3 a b: the name is .a b.; it must be text of up to 64 letters",
        ),
        (HEAD + "  process: {type: View}", "E_MODULE", "f.yaml:3:3 process: is a section beside the modules"),
        (HEAD + "  a: 3", "E_VALUE", "f.yaml:3:3 a: must be a mapping with the field 'type'"),
        (HEAD + "  a: {}", "E_MISSING", "f.yaml:3:3 a: the field 'type' is missing"),
        (HEAD + "  a: {type: [1]}", "E_TYPE", "f.yaml:3:7 a.type: the type is "),
        (
            HEAD + "  a: {type: Veiw}",
            "E_TYPE",
            "f.yaml:3:7 a.type: unknown block 'Veiw'.*did you mean 'View'",
        ),
        (HEAD + "  a: {type: Quant}", "E_TYPE", "f.yaml:3:7 a.type: unknown block 'Quant'"),
        (
            HEAD + STEM + "process: [{type: View}]",
            "E_TYPE",
            "f.yaml:4:12 process.0.type: unknown process 'View'",
        ),
        (HEAD + STEM + "process: {type: Quant}", "E_VALUE", "f.yaml:4:1 process: must be a list"),
        (HEAD + "  a: {type: View, axis: 1}", "E_FIELD", "f.yaml:3:19 a.axis: unknown field 'axis' of View"),
        (
            HEAD + "  a: {type: InitialBlock}",
            "E_MISSING",
            "f.yaml:3:3 a: the field 'init_plane' of InitialBlock",
        ),
        (
            HEAD + "  a: {type: InitialBlock, init_plan: 3}",
            "E_FIELD",
            "a.init_plan: .*did you mean 'init_plane'",
        ),
        (HEAD + "  a: {choice: []}", "E_VALUE", "f.yaml:3:7 a.choice: must be a list of blocks"),
        (
            HEAD + "  a: {choice: [{type: View}], default: 1}",
            "E_VALUE",
            "a.default: must be a position .* 0 to 0",
        ),
        (HEAD + "  a: {choice: [{type: View}], defult: 0}", "E_FIELD", "a.defult: .*did you mean 'default'"),
        (
            HEAD + "  a: {choice: [{type: View}, {type: Repeat, num_rep: 3}]}",
            "E_FIELD",
            "f.yaml:3:45 a.choice.1.num_rep: unknown field 'num_rep' of Repeat",
        ),
        ("input: [3]\n" + HEAD + STEM, "E_VALUE", "f.yaml:1:1 input: has 1 entries; it needs 2 or more"),
        ("input: [3, 0]\n" + HEAD + STEM, "E_VALUE", "f.yaml:1:12 input.1: must be at least 1"),
        ("input: [3, 8]\n" + HEAD + STEM, "E_BUILD", "f.yaml:4:3 stem: .*must have 4 dimensions"),
        (
            HEAD + STEM + "search_algorithm: {type: BackboneNsa}",
            "E_ALGORITHM",
            "f.yaml:4:1 search_algorithm: unknown search algorithm 'BackboneNsa' .*did you mean 'BackboneNas'",
        ),
        (HEAD + STEM + "search_algorithm: {}", "E_ALGORITHM", "the field 'type' is missing"),
        (
            HEAD
            + "  a: {type: VariantLayer, in_plane: 3, doublechannel: [0], downsample: [0], block: {type: BasicBlock, "
            "stride: 2}}",
            "E_CONFLICT",
            "f.yaml:3:103 a.block.stride: is 2, but the outer block determines it: 1",
        ),
        (
            HEAD + "  a: {tpye: View}",
            "E_MISSING",
            "a: the field 'type' is missing; did you mean it by 'tpye'",
        ),
        (HEAD + "  yes: {type: View}", "E_VALUE", "f.yaml:2:1 modules: the name is True; .*; quote it"),
        (
            HEAD + "  a: {type: View, type: View}",
            "",
            "f.yaml:3:19: not valid YAML: the key 'type' occurs twice",
        ),
        (
            HEAD + "  a: !!python/object/apply:os.getcwd []",
            "",
            "f.yaml:3:6: .*could not determine a constructor",
        ),
        (HEAD + "  a: !!python/name:os.getcwd", "", "f.yaml:3:6: .*could not determine a constructor"),
    ],
)
def test_mistakes_are_named_with_line_column_and_path(text, code, message):
    with pytest.raises(SpaceError, match=message) as caught:
        build(parse_space(text, "f.yaml"))
    assert caught.value.code == code
    assert not code or f"[{code}]" in str(caught.value)


def test_anchors_and_merges_of_people_s_own_documents_work():
    text = HEAD + (
        "  stem: {type: SmallInputInitialBlock, init_plane: 8}\n"
        "  a: &block {type: BasicBlock, inchannel: 8, outchannel: 8}\n"
        "  b: *block\n"
        "  c: {<<: *block, stride: 2}\n"
    )
    space = load(text)
    assert space.outputs[0].shape() == (1, 8, 16, 16)
    assert [node.id for node in space.order if node.id.endswith("Add_0")] == [
        "my_net_0.a_0.Add_0",
        "my_net_0.b_0.Add_0",
        "my_net_0.c_0.Add_0",
    ]


def write(folder, text, name="net.yaml"):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_load_space_reads_yaml_files(tmp_path):
    path = write(tmp_path, HEAD + STEM.replace("8}", "{choice: [8, 16]}}") + CLASSIFIER)
    space = hannah_hw.load_space(path, input_shape=(1, 8, 8))
    assert (space.name, space.options) == (path, {"input_shape": (1, 8, 8)})
    assert space.document == load_document(Path(path))
    assert space.warnings == ()
    assert hannah_hw.load_space(write(tmp_path, HEAD + STEM, "b.yml")).order[0].id == "b_0.input"


def test_options_that_a_yaml_space_does_not_have(tmp_path):
    path = write(tmp_path, HEAD + STEM)
    with pytest.raises(SpaceError, match="net has no option 'depth'; allowed: input_shape"):
        hannah_hw.load_space(path, depth=3)
    # Nothing in it tells classes apart: what the data offers is left, what the user asks for is refused.
    assert hannah_hw.load_space(path, offered={"classes": 5, "input_shape": (1, 8, 8)}).options == {
        "input_shape": (1, 8, 8)
    }
    with pytest.raises(SpaceError, match="net has no option 'classes'"):
        hannah_hw.load_space(path, classes=5)
    with pytest.raises(SpaceError, match="a YAML file holds one space"):
        hannah_hw.load_space(f"{path}:net")
    with pytest.raises(CatalogError, match="there is no file"):
        hannah_hw.load_space("missing/net.yaml")


def test_warnings_stay_with_the_space(tmp_path):
    path = write(tmp_path, HEAD + STEM + CLASSIFIER)
    with pytest.warns(SpaceWarning, match="W_CLASSES"):
        space = hannah_hw.load_space(path, offered={"classes": 5})
    assert [warning.code for warning in space.warnings] == ["W_CLASSES"]
    assert space.warnings[0].where == f"{path}:4:42 head.num_class"


def test_yaml_spaces_of_a_folder_are_in_the_catalogue(tmp_path, monkeypatch):
    (tmp_path / "search_spaces").mkdir()
    write(tmp_path / "search_spaces", HEAD + STEM, "mine.yaml")
    monkeypatch.setenv("HANNAH_HW_PATH", str(tmp_path))
    assert "mine" in hannah_hw.catalog.names("search_spaces")
    assert hannah_hw.load_space("mine").order[0].id == "mine_0.input"
