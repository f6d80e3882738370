"""Loading spaces by name and by path, and what is said when that fails."""

import textwrap

import numpy as np
import pytest

from hannah_hw import SearchSpace, load_space
from hannah_hw.errors import CatalogError, SpaceError
from hannah_hw.spaces import Assignment, as_space, open_space, space_functions

GOOD = """
    from hannah_hw import IntScalarParameter, Tensor, search_space
    from hannah_hw.operators import Conv2d, Relu

    def helper():
        return 1

    @search_space
    def mine(input_shape=(3, 8, 8), width=4):
        x = Tensor("input", (1, *input_shape))
        weight = Tensor("weight", (IntScalarParameter(width, 2 * width, name="c"), input_shape[0], 3, 3), grad=True)
        return Conv2d()(x, weight)

    @search_space
    def other():
        return Relu()(Tensor("input", (1, 3)))

    @search_space
    def wrong():
        return 3

    @search_space
    def failing():
        return 1 / 0

    @search_space
    def needs(argument):
        return argument
"""


@pytest.fixture
def file(tmp_path):
    def write(text=GOOD, name="mine.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_a_file_by_path(file):
    path = file()
    space = load_space(str(path), width=8)
    assert list(space.parameters) == ["mine_0.Conv2d_0.weight.c"]
    assert space.options == {"width": 8}
    assert space.default() == {"mine_0.Conv2d_0.weight.c": 8}
    assert set(space_functions(path)) == {"mine", "other", "wrong", "failing", "needs"}
    assert load_space(f"{path}:other").parameters == {}
    assert load_space("mine.py", near=path.parent).name == "mine.py"


def test_options_may_have_any_name(file):
    path = file("""
        from hannah_hw import Tensor, search_space
        from hannah_hw.operators import Relu

        @search_space
        def mine(name="a", near=3):
            return Relu()(Tensor("input", (1, near)))
    """)
    assert load_space(str(path), name="b").options == {"name": "b"}
    assert open_space(str(path), {"near": 5}).outputs[0].shape() == (1, 5)
    with pytest.raises(SpaceError, match="mine has no option 'offered'; allowed: name, near"):
        open_space(str(path), {"offered": 3})
    with pytest.raises(SpaceError, match="allow_code is 'no'; it must be true or false"):
        load_space(str(path), allow_code="no")


def test_conditions_that_nothing_satisfies_are_reported_with_the_file(file):
    path = file("""
        from hannah_hw import IntScalarParameter, Tensor, search_space
        from hannah_hw.operators import Relu

        @search_space
        def mine():
            width = IntScalarParameter(1, 4, name="width")
            return Relu()(Tensor("input", (1, width))).cond(width > 9)
    """)
    with pytest.raises(SpaceError, match=r"mine\.py: .*width"):
        load_space(str(path))


def test_a_network_that_nobody_can_count_is_refused(file):
    path = file("""
        from hannah_hw import IntScalarParameter, Tensor, search_space
        from hannah_hw.operators import Relu

        @search_space
        def mine():
            width = IntScalarParameter(10**6, 10**6 + 1, name="width")
            return Relu()(Tensor("input", (1, width, width)))
    """)
    with pytest.raises(SpaceError, match=r"mine\.py: .*Relu_0 has 1000000000000 values"):
        load_space(str(path))


def test_offered_options_are_passed_where_they_fit(file):
    path = file()
    offered = {"input_shape": (5, 4, 4), "classes": 10}
    assert load_space(str(path), offered=offered).inputs[0].shape() == (1, 5, 4, 4)
    assert load_space(f"{path}:other", offered=offered).options == {}


def test_the_environment_adds_directories(file, tmp_path, monkeypatch):
    (tmp_path / "search_spaces").mkdir()
    file(name="search_spaces/mine.py")
    monkeypatch.setenv("HANNAH_HW_PATH", str(tmp_path))
    assert load_space("mine").parameters
    assert load_space("mine:other").parameters == {}


def test_a_changed_file_is_read_again(file):
    path = file()
    assert load_space(str(path)).default() == {"mine_0.Conv2d_0.weight.c": 4}
    path.write_text(path.read_text().replace("width=4", "width=6"))
    assert load_space(str(path)).default() == {"mine_0.Conv2d_0.weight.c": 6}


@pytest.mark.parametrize(
    ("suffix", "options", "message"),
    [
        (":mien", {}, "did you mean '.*mine.py:mine'"),
        ("", {"widht": 8}, "no option 'widht'; allowed: input_shape, width; did you mean 'width'"),
        (":wrong", {}, "returned 3; it must return the last node"),
        (":failing", {}, r"failing\(\{\}\) failed: ZeroDivisionError"),
        (":needs", {}, "missing 1 required positional argument"),
        ("", {"width": "x"}, r"mine.py:[0-9]+: mine.*'x'.*failed: .*must be integers"),
    ],
)
def test_functions_that_do_not_work(file, suffix, options, message):
    path = file()
    with pytest.raises(SpaceError, match=message) as caught:
        load_space(f"{path}{suffix}", **options)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\ndef broken(:\n    pass\n", "mine.py:3: the file does not run: SyntaxError"),
        ("import hannah_hw_no_such_module", "ModuleNotFoundError"),
        ("x = 1\ny = x / 0", "mine.py:2: the file does not run: ZeroDivisionError"),
        ("import sys\nsys.exit(0)", "mine.py:2: the file does not run: SystemExit: 0"),
        ("x = 1", "no function 'mine' that is decorated"),
    ],
)
def test_files_that_do_not_run(file, text, message):
    with pytest.raises(SpaceError, match=message):
        load_space(str(file(text)))


def test_unknown_names():
    with pytest.raises(CatalogError, match=r"unknown search space 'ds_cn'; allowed: .*did you mean 'ds_cnn'"):
        load_space("ds_cn")
    with pytest.raises(CatalogError, match=r"no file 'nowhere/space\.py'"):
        load_space("nowhere/space.py")
    with pytest.raises(SpaceError, match="mlperf_tiny:resnet8"):
        load_space("mlperf_tiny")
    with pytest.raises(SpaceError, match="neither a search space nor a node"):
        as_space(3)


def test_wrong_assignments(file):
    space = load_space(str(file()))
    with pytest.raises(SpaceError, match=r"no parameter 'mine_0.Conv2d_0.weight.d'.*did you mean"):
        space.candidate({"mine_0.Conv2d_0.weight.d": 4})
    with pytest.raises(SpaceError, match=r"weight\.c is 40, not one of 4, 5, 6, 7, 8"):
        space.candidate({"mine_0.Conv2d_0.weight.c": 40})


def test_assignments_are_immutable_values():
    values = {"a": 1, "b": (2, 3)}
    one = Assignment(values)
    values["a"] = 5
    assert one == {"a": 1, "b": (2, 3)} == Assignment({"b": (2, 3), "a": 1})
    assert hash(one) == hash(Assignment({"b": (2, 3), "a": 1}))
    assert one.to_dict() == {"a": 1, "b": [2, 3]}
    with pytest.raises(TypeError):
        one["a"] = 2


def test_a_space_without_parameters_has_one_candidate():
    space = load_space("mlperf_tiny:resnet8")
    assert space.encoding.size == 1
    assert space.sample_population(3).shape == (3, 0)
    assert space.workload(np.empty((3, 0))).macs.tolist() == [12501632] * 3
    assert space.candidate({}).id == space.candidate(space.sample(4)).id
    assert isinstance(as_space(space.outputs[0]), SearchSpace)


@pytest.mark.parametrize("options", [{"classes": 0}, {"classes": "ten"}, {"input_shape": (1, 0, 8)}])
def test_options_that_give_no_network(options):
    with pytest.raises(
        SpaceError, match=r"ds_cnn\.py:[0-9]+: ds_cnn\(.*a size of the tensor .* must be a whole number"
    ):
        load_space("ds_cnn", **options)
