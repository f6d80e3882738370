"""Functions of users as blocks: from entry points always, from files and modules only where that is allowed."""

import sys

import pytest

import hannah_hw
from hannah_hw.errors import SpaceError
from hannah_hw.spaces.declarative import lookup
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import load_document, parse_space
from hannah_hw.spaces.declarative.dump import dump
from hannah_hw.spaces.declarative.lookup import Lookup

BLOCKS = '''
from hannah_hw.blocks import conv2d
from hannah_hw.spaces.declarative.registry import Positive, Ref, Value, fail

open(__file__ + ".ran", "w").close()

def wide(x, *, factor: Value[Positive] = 2):
    """As many channels more."""
    if not isinstance(factor, int) or factor < 100:
        return conv2d(x, x.shape()[1] * factor)
    fail("E_FACTOR", "factor", f"is {factor}, which is too much")

def twice(x, *, inner: Ref):
    return inner(inner(x))
'''

SPACE = """
format: hannah-space/1
input: [3, 4, 4]
modules:
  a: {type: "my/blocks.py:wide", factor: {choice: [2, 5]}}
  b: {type: "my/blocks.py:twice", inner: {type: "my/blocks.py:wide", factor: 3}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "blocks.py").write_text(BLOCKS)
    (tmp_path / "net.yaml").write_text(SPACE)
    return tmp_path


def test_a_document_does_not_execute_code_by_itself(folder):
    with pytest.raises(SpaceError, match=r"net.yaml:5:7 a.type: .*executes Python.*allow_code=True.*E_CODE"):
        hannah_hw.load_space(str(folder / "net.yaml"))
    assert not (folder / "my" / "blocks.py.ran").exists()


def test_a_function_of_a_file_beside_the_document(folder):
    space = hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)
    # 3 channels, twice as many, and three times as many twice: 1x1 convolutions over 16 values.
    assert space.candidate({}).macs == 16 * (3 * 6 + 6 * 18 + 18 * 54)
    assert space.candidate({"a.factor": 5}).macs == 16 * (3 * 15 + 15 * 45 + 45 * 135)
    assert [node.id for node in space.order if node.id.endswith("Conv2d_0")] == [
        "net_0.a_0.Conv2d_0",
        "net_0.b_0.wide_0.Conv2d_0",
        "net_0.b_0.wide_1.Conv2d_0",
    ]


def test_a_block_of_a_user_fails_with_the_place_in_the_document(folder):
    (folder / "net.yaml").write_text(SPACE.replace("factor: 3", "factor: 300"))
    with pytest.raises(
        SpaceError, match=r"net.yaml:6:\d+ b.inner.factor: is 300, which is too much .E_FACTOR."
    ):
        hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)


def test_types_of_users_survive_writing(folder):
    document = load_document(folder / "net.yaml", allow_code=True)
    assert parse_space(dump(document), lookup=Lookup(folder, allow_code=True)) == document


def test_a_function_of_a_module(tmp_path, monkeypatch):
    (tmp_path / "hannah_hw_test_user_module.py").write_text(BLOCKS)
    monkeypatch.syspath_prepend(tmp_path)
    text = "format: hannah-space/1\nmodules: {a: {type: 'hannah_hw_test_user_module:wide'}}"
    with pytest.raises(SpaceError, match="allow_code"):
        parse_space(text)
    assert "hannah_hw_test_user_module" not in sys.modules
    document = parse_space(text, lookup=Lookup(allow_code=True))
    assert build(document).output.shape() == (1, 6, 32, 32)


def test_entry_points_of_installed_packages_need_no_permission(tmp_path, monkeypatch):
    (tmp_path / "hannah_hw_test_plugin.py").write_text(BLOCKS)
    info = tmp_path / "hannah_hw_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hannah_hw_test_plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hannah_hw.blocks]\nWide = hannah_hw_test_plugin:wide\nGone = hannah_hw_test_plugin:gone\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lookup._offered.cache_clear()
    try:
        document = parse_space("format: hannah-space/1\nmodules: {a: {type: Wide, factor: 4}}")
        assert build(document).output.shape() == (1, 12, 32, 32)
        with pytest.raises(SpaceError, match=r"unknown block 'Wid'.*did you mean 'Wide'"):
            parse_space("format: hannah-space/1\nmodules: {a: {type: Wid}}")
        with pytest.raises(SpaceError, match="entry point Gone = hannah_hw_test_plugin:gone does not load"):
            parse_space("format: hannah-space/1\nmodules: {a: {type: Gone}}")
    finally:
        lookup._offered.cache_clear()


@pytest.mark.parametrize(
    ("type", "code", "message"),
    [
        ("my/blocks.py:wied", "E_TYPE", "my/blocks.py has no function 'wied'.*did you mean 'wide'"),
        ("my/missing.py:wide", "", "cannot read the file"),
        ("../blocks.py:wide", "E_CODE", "is not inside of the folder of the document"),
        ("/etc/blocks.py:wide", "E_CODE", "is not inside of the folder of the document"),
        ("my/broken.py:wide", "", "broken.py:1: the file does not run: ZeroDivisionError"),
        ("hannah_hw_no_such_module:wide", "E_TYPE", "cannot be imported: ModuleNotFoundError"),
        ("my/fields.py:any_field", "E_BLOCK", "must take the data and then named fields only"),
        ("my/fields.py:no_data", "E_BLOCK", "must take the data and then named fields only"),
        ("my/fields.py:odd", "E_BLOCK", "an annotation of my/fields.py:odd cannot be read: .*Missing"),
        ("my/fields.py:strange", "E_BLOCK", "an annotation of my/fields.py:strange cannot be read: .*Path_"),
        (
            "my/fields.py:fails",
            "E_BUILD",
            "a: my/fields.py:fails failed in .*fields.py:8: KeyError: 'no such'",
        ),
        ("my/fields.py:no_node", "E_BLOCK", "a: my/fields.py:no_node returned None, not a node"),
        ("my/fields.py:bare", "E_BLOCK", "the field 'y' of my/fields.py:bare has no annotation"),
        (
            "my/fields.py:open_",
            "E_BLOCK",
            "an annotation of my/fields.py:open_ cannot be read: Forward reference",
        ),
        ("my/fields.py:leaves", "E_BUILD", "leaves failed in .*fields.py:9: SystemExit: 3"),
        (
            "my/fields.py:unfit",
            "E_BUILD",
            "unfit failed in .*fields.py:13: the data of Conv2d must have 4 dim",
        ),
        ("my/fields.py:Sequence", "E_TYPE", "no function 'Sequence' .*; allowed: any_field, no_data"),
    ],
)
def test_code_that_is_no_block(folder, type, code, message):
    (folder / "my" / "broken.py").write_text("1 / 0")
    (folder / "my" / "fields.py").write_text(
        "def any_field(x, **fields): return x\ndef no_data(): return None\ndef no_node(x): return None\n"
        "def odd(x, *, y: 'Missing'): return x\nclass Path_: pass\ndef strange(x, *, y: Path_): return x\n"
        "def fails(x):\n    return {}['no such']\ndef leaves(x): raise SystemExit(3)\n"
        "def bare(x, *, y): return x\ndef open_(x, *, y: 'list[int'): return x\n"
        "def unfit(x):\n    return conv2d(linear(x, 4), 2)\n"
        "from hannah_hw.blocks import conv2d, linear\nSequence = 3\n"
    )
    (folder / "net.yaml").write_text(f"format: hannah-space/1\nmodules: {{a: {{type: '{type}'}}}}")
    with pytest.raises(SpaceError, match=message) as caught:
        hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)
    assert "net.yaml:2:" in str(caught.value)
    assert caught.value.code == (code or "E_TYPE")


def test_a_process_of_a_user(folder):
    (folder / "my" / "process.py").write_text(
        "from dataclasses import replace\nfrom hannah_hw.operators import Relu\n"
        "def clamp(network, *, times: int = 1):\n"
        "    x = network.output\n"
        "    for _ in range(times):\n        x = Relu()(x)\n"
        "    return replace(network, output=x)\n"
        "def nothing(network): return None\n"
    )
    text = SPACE + "process: [{type: 'my/process.py:clamp', times: 2}]\n"
    (folder / "net.yaml").write_text(text)
    space = hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)
    assert [type(node).__name__ for node in space.order[-2:]] == ["Relu", "Relu"]
    (folder / "net.yaml").write_text(
        text.replace("clamp, times: 2", "").replace("clamp', times: 2", "nothing'")
    )
    with pytest.raises(SpaceError, match=r"process.0: my/process.py:nothing returned None, not a network"):
        hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)


def test_a_decorator_tells_what_a_signature_cannot(folder):
    text = (
        "from hannah_hw.blocks import linear\nfrom hannah_hw.spaces.declarative import block\n"
        "@block('HeadOfThisTest', classes='outputs')\ndef head(x, *, outputs: int = 4): return linear(x, outputs)\n"
    )
    (folder / "my" / "head.py").write_text(text)
    (folder / "net.yaml").write_text("format: hannah-space/1\nmodules: {a: {type: 'my/head.py:head'}}\n")
    space = hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True, classes=7)
    assert space.outputs[0].shape() == (1, 7)
    # The file may be executed again; another function must not take a name of the library.
    (folder / "my" / "head.py").write_text(text + "# changed\n")
    assert hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True).outputs[0].shape() == (1, 4)
    (folder / "my" / "head.py").write_text(
        text.replace("HeadOfThisTest", "ResNet").replace("head(", "resnet(")
    )
    with pytest.raises(SpaceError, match="the type 'ResNet' is already resnet"):
        hannah_hw.load_space(str(folder / "net.yaml"), allow_code=True)
