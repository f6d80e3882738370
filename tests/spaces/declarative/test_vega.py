"""Documents of the dialect vega/0.9.3: recognised, upgraded, and wrong where they are wrong."""

import copy
import warnings
from pathlib import Path

import pytest

from hannah_hw import SearchSpace
from hannah_hw.documents import parse_document
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import load_document, parse_space
from hannah_hw.spaces.declarative.dump import to_data
from hannah_hw.spaces.declarative.problems import SpaceWarning
from hannah_hw.spaces.declarative.search_algorithm import AskedSearch
from hannah_hw.spaces.declarative.vega import find_vega, upgrade

FOLDER = Path(__file__).parents[2] / "fixtures" / "vega"

#: Document -> trained values and multiply-accumulates at 3x32x32, counted by an independent implementation.
COUNTS = {
    "coarse_resnet18": (11_181_642, 37_016_576),
    "fine_resnet50": (23_528_522, 83_431_424),
    "searched_resnet18": (11_173_962, 555_422_720),
    "quant_resnet20": (274_394, 3_125_888),
    "quant_resnet18": (11_181_642, 37_016_576),
    "reused_quant_resnet20": (274_394, 3_125_888),
    "prune_resnet20": (243_651, 2_845_488),
    "variant_layer": (7_579_114, 96_310_272),
    "searched_variant_layer": (7_579_114, 96_310_272),
}

RESNET = "  resnet: {type: ResNet, depth: 18}\n"


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpaceWarning)
        return function(*arguments, **options)


def space_of(text):
    """The upgraded document of a space's text, its default network, and the codes of its warnings."""
    document = quiet(parse_space, text, "f.yaml")
    space = SearchSpace(quiet(build, document).output)
    return document, space, [warning.code for warning in document.site.warnings]


def vega(modules, definitions, head=""):
    return f"search_space:\n  type: FineGrainedSpace\n{head}  modules: [{modules}]\n{definitions}"


def test_the_fixtures_are_complete():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_documents_of_the_guide_have_the_counted_sizes(name):
    document = quiet(load_document, FOLDER / f"{name}.yaml")
    candidate = SearchSpace(quiet(build, document).output).candidate({})
    assert (candidate.parameters, candidate.macs) == COUNTS[name]


@pytest.mark.parametrize("name", COUNTS)
def test_an_upgrade_leaves_its_document_as_it_is(name):
    path = FOLDER / f"{name}.yaml"
    document = parse_document(path.read_text(), str(path), SpaceError)
    before = copy.deepcopy(document.data)
    first = upgrade(document.data, find_vega(document))
    assert document.data == before
    assert upgrade(document.data, find_vega(document)) == first


def test_a_space_is_found_at_the_root_in_its_section_and_in_a_step():
    root = "type: FineGrainedSpace\nmodules: [resnet]\nresnet: {type: ResNet, depth: 18}\n"
    section = vega("resnet", RESNET)
    step = "general: {backend: torch}\nnas:\n  pipe_step: {type: NasPipeStep}\n" + "".join(
        f"  {line}\n" for line in section.splitlines()
    )
    documents = [parse_space(text, "f.yaml") for text in (root, section, step)]
    assert documents[0] == documents[1] == documents[2]
    assert to_data(documents[0])["modules"] == {"resnet": {"type": "ResNet", "depth": 18}}


def test_several_spaces_in_one_file_are_ambiguous():
    text = "a:\n  " + vega("resnet", RESNET).replace("\n", "\n  ") + "\nb:\n  type: FineGrainedSpace\n"
    with pytest.raises(
        SpaceError, match=r"f.yaml:7:1 b: there are 2 search spaces, a.search_space, b; leave one"
    ):
        parse_space(text, "f.yaml")


def test_a_search_algorithm_beside_the_space_is_kept_and_is_one_of_ours():
    document = quiet(load_document, FOLDER / "searched_variant_layer.yaml")
    assert document.search_algorithm == {"type": "BackboneNas"}
    assert document.asked_search == AskedSearch("BackboneNas")
    (warning,) = document.site.warnings
    assert warning.code == "W_ALIAS"
    assert (
        "searched_variant_layer.yaml:3:3 search_algorithm.type: 'BackboneNasSearch' is a deprecated"
        in str(warning)
    )
    assert load_document(FOLDER / "variant_layer.yaml").asked_search is None
    nested = "nas:\n  search_algorithm: {type: QuantEA, policy: {num_generation: 50}}\n  "
    document = parse_space(nested + vega("resnet", RESNET).replace("\n", "\n  "), "f.yaml")
    assert document.search_algorithm == {"type": "QuantEA", "policy": {"num_generation": 50}}
    assert document.asked_search == AskedSearch("QuantEA", left=("policy.num_generation",))
    with pytest.raises(SpaceError, match=r"f.yaml:2:3 .*search_algorithm: unknown.*did you mean 'QuantEA'"):
        parse_space(
            nested.replace("QuantEA", "QuantAE") + vega("resnet", RESNET).replace("\n", "\n  "), "f.yaml"
        )


def test_old_names_of_fields_are_understood_with_a_warning():
    text = vega("resnet", "  resnet: {type: ResNet, depth: 18, num_classes: 7}\n")
    document, space, codes = space_of(text)
    assert codes == ["W_ALIAS"]
    assert space.outputs[0].shape() == (1, 7)
    assert str(document.site.warnings[0]).startswith(
        "f.yaml:4:37 resnet.num_classes: 'num_classes' is a deprecated"
    )
    prune = (FOLDER / "prune_resnet20.yaml").read_text()
    renamed = quiet(parse_space, prune.replace("init_model_file:", "path:"), "prune_resnet20.yaml")
    assert renamed == parse_space(prune, "prune_resnet20.yaml")
    assert [warning.code for warning in renamed.site.warnings] == ["W_ALIAS"]
    both = vega("resnet", "  resnet: {type: ResNet, depth: 18, num_classes: 7, num_class: 7}\n")
    with pytest.raises(
        SpaceError, match=r"f.yaml:4:37 resnet.num_classes: .*'num_class', which is given too.*E_CONFL"
    ):
        parse_space(both, "f.yaml")


def test_a_module_that_is_defined_but_not_listed_is_warned_of():
    document, _, codes = space_of(vega("resnet", RESNET + "  extra: {type: View}\n"))
    assert list(document.modules) == ["resnet"]
    assert codes == ["W_MODULE"]
    assert "f.yaml:5:3 extra: extra is defined but not listed in modules" in str(document.site.warnings[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (vega("resent", RESNET), r"f.yaml:3:13 modules.0: resent is listed .*did you mean 'resnet'.*"),
        (vega("resnet, resnet", RESNET), r"f.yaml:3:21 modules.1: resnet is listed twice .E_MODULE."),
        (vega("", RESNET), r"f.yaml:3:3 modules: must be the list of the modules' names .E_MODULE."),
        ("search_space: {type: FineGrainedSpace}", r"f.yaml:1:1 modules: must be the list"),
        (
            "search_space: {type: FineGrainedSpace, module: [a]}",
            r"must be the list.*; did you mean it by 'module'",
        ),
        (vega("resnet", "  resnet: 3\n"), r"f.yaml:4:3 resnet: must be a mapping .*E_VALUE"),
        (
            vega("resnet", RESNET, "  hyper_parameter: {a: [1]}\n"),
            r"f.yaml:3:3 .*did you mean 'hyper_parameters'",
        ),
        (
            vega("resnet", RESNET.replace("depth", "dpeth")),
            r"f.yaml:4:26 resnet.dpeth: .*did you mean 'depth'",
        ),
        (
            vega("resnet, process", RESNET + "  process: {type: Quant, nbit: 3}\n"),
            r"f.yaml:5:26 process.nbit: unknown field 'nbit' of Quant.*E_FIELD.*nbit_w_list",
        ),
        (
            vega("net", "  net:\n    type: VariantLayer\n    donwsample: [0]\n"),
            r"f.yaml:6:5 net.donwsample: unknown field .*did you mean 'downsample'",
        ),
    ],
)
def test_mistakes_show_the_place_in_the_user_s_file(text, message):
    with pytest.raises(SpaceError, match=message):
        parse_space(text, "f.yaml")


LAYER = (
    "  stem: {type: SmallInputInitialBlock, init_plane: 3}\n"
    "  layer: {type: VariantLayer, block: {type: BasicBlock}, in_plane: 3, "
    "doublechannel: [0, 1, 0], downsample: [0, 0, 1]}\n"
    "  repeat: {type: Repeat, num_reps: 2, ref: {type: BasicBlock}, items: {outchannel: [6, 6], stride: [2, 1]}}\n"
    "  process: {type: Quant, nbit_w_list: 8, nbit_a_list: [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]}\n"
)


def with_hyper(line):
    return vega("stem, layer, repeat, process", LAYER, f"  hyper_parameters:\n    {line}\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # A scalar and a list of candidates: a choice; what the document has is the default where it is a candidate.
        ("stem.init_plane: [3, 5]", {"choice": [3, 5], "default": 3}),
        ("process.nbit_w_list: [4, 2]", {"choice": [4, 2]}),
        # A list and a starting point of its length: a code. The positions of these two are 0 or 1, whatever is shown.
        (
            "layer.doublechannel: [1, 0, 0]",
            {"code": {"default": [1, 0, 0], "choices": [0, 1], "ones": "keep"}},
        ),
        ("layer.downsample: [0, 0, 0]", {"code": {"default": [0, 0, 0], "choices": [0, 1], "ones": "keep"}}),
        ("repeat.items.stride: [2, 1]", {"code": {"default": [2, 1], "choices": [1, 2], "ones": "free"}}),
        (
            "process.nbit_a_list: [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]",
            {"code": {"default": [8] * 13, "choices": [4, 8], "ones": "free"}},
        ),
        (
            "process.nbit_a_list: [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 3]",
            {"code": {"default": [8] * 12 + [3], "choices": [3, 8], "ones": "free"}},
        ),
        # A list and lists: a choice of lists.
        ("repeat.items.outchannel: [[6, 6], [3, 3]]", {"choice": [[6, 6], [3, 3]], "default": [6, 6]}),
        ("repeat.items.stride.1: [1, 2]", {"choice": [1, 2], "default": 1}),
        # A block and blocks.
        (
            "layer.block: [{type: BasicBlock}, {type: BottleneckBlock}]",
            {"choice": [{"type": "BasicBlock"}, {"type": "BottleneckBlock"}]},
        ),
    ],
)
def test_what_hyper_parameters_stand_for(line, expected):
    document = parse_space(with_hyper(line), "f.yaml")
    data = to_data(document)
    node = data["process"][0] if line.startswith("process") else data["modules"]
    key = line.partition(":")[0].removeprefix("process.")
    for part in key.split("."):
        node = node[int(part) if part.isdecimal() else part]
    assert node == expected


def test_keys_of_items_may_have_dots():
    text = with_hyper("repeat.items.block.stride: [1, 2]").replace("stride: [2, 1]}}", "block.stride: 2}}")
    data = to_data(parse_space(text, "f.yaml"))
    assert data["modules"]["repeat"]["items"]["block.stride"] == {"choice": [1, 2], "default": 2}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lyaer.in_plane: [3]", "there is no module 'lyaer' .E_HYPER.; .*did you mean 'layer'"),
        ("layer.in_plan: [3]", "layer has no 'in_plan' .*did you mean 'in_plane'"),
        ("repeat.items.strid: [1]", "repeat.items has no 'strid' .*did you mean 'stride'"),
        ("process.nbit: [8]", "process has no 'nbit' "),
        ("layer: [1]", "layer as a whole cannot be searched; name a field of it"),
        ("layer.in_plane: 3", "is 3; it must be a list"),
        ("layer.in_plane: []", "it must be a list"),
        ("layer.in_plane: [[3], [4]]", "does not fit 3; give a list of candidates like it"),
        (
            "layer.downsample: [0, 1]",
            "has 2 entries, but downsample has 3; give a starting point of 3 entries",
        ),
        ("layer.downsample: [[0, 1, 0], 1]", "does not fit"),
        ("layer.block: [1, 2]", "does not fit"),
        ("layer.block.type: [BasicBlock, BottleneckBlock]", "name the block, and list mappings with a type"),
        ("repeat.items.outchannel: [6, 6]", "is 6 everywhere, so it does not say"),
    ],
)
def test_hyper_parameters_that_stand_for_nothing(line, message):
    with pytest.raises(SpaceError, match=message) as caught:
        parse_space(with_hyper(line), "f.yaml")
    assert caught.value.code == "E_HYPER"
    assert caught.value.where == f"f.yaml:4:5 hyper_parameters.{line.partition(':')[0]}"


def test_a_mistake_in_what_a_hyper_parameter_gives_is_placed_there():
    with pytest.raises(
        SpaceError, match=r"f.yaml:4:\d+ hyper_parameters.stem.init_plane.choice.1: .*whole number"
    ):
        parse_space(with_hyper("stem.init_plane: [3, x]"), "f.yaml")
    with pytest.raises(
        SpaceError, match=r"hyper_parameters.layer.in_plane: cannot be searched, for the network"
    ):
        parse_space(with_hyper("layer.in_plane: [3, 4]"), "f.yaml")


def test_the_variant_of_the_guide_keeps_its_numbers_of_ones():
    document = quiet(load_document, FOLDER / "searched_variant_layer.yaml")
    space = SearchSpace(build(document).output)
    codes = {
        name: [f"layer.{name}.{index}" for index in range(8)] for name in ("doublechannel", "downsample")
    }
    assert set(space.parameters) == {id for ids in codes.values() for id in ids}
    columns = space.encoding.values(space.sample_population(200, seed=0))
    for ids in codes.values():
        assert set(sum(columns[id] for id in ids).tolist()) == {4}
    # Four doublings of 32 channels, wherever they are, end with 512, which the head expects.
    workload = space.workload(space.sample_population(50, seed=1))
    assert workload.exists.all()


def test_the_whole_document_may_be_indented():
    text = (FOLDER / "quant_resnet18.yaml").read_text()
    assert "\n search_space:" in text
    document = quiet(parse_space, text, "quant_resnet18.yaml")
    quiet(build, document)
    assert [(w.code, w.where.partition(" ")[2]) for w in document.site.warnings] == [
        ("W_BITS_UNUSED", "process.nbit_w_list"),
        ("W_BITS_UNUSED", "process.nbit_a_list"),
    ]
