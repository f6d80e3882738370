"""Errors say what was given, what is allowed and what to do."""

import inspect

import pytest

from hannah_hw import errors
from hannah_hw.errors import EvaluationError, HannahError, InputError, MissingExtraError, require, require_all


def test_everything_has_one_base_and_the_tree_is_complete():
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)
    ]
    assert all(issubclass(value, HannahError) for value in classes)
    assert all(value.__name__ in errors.__doc__ for value in classes)


def test_a_message_has_place_choice_and_hint():
    error = InputError("unknown field 'sarch'", where="f.yaml:3", allowed=["search", "space"], given="sarch")
    assert str(error) == "f.yaml:3: unknown field 'sarch'; allowed: search, space; did you mean 'search'?"
    assert (error.where, error.allowed, error.given) == ("f.yaml:3", ("search", "space"), "sarch")
    assert str(InputError("wrong")) == "wrong"
    assert "did you mean" not in str(InputError("wrong", allowed=["search"], given="xyz"))


def test_failed_evaluations_have_a_kind():
    assert EvaluationError("took too long", kind="timeout").kind == "timeout"


def test_a_missing_package_names_its_extra():
    with pytest.raises(MissingExtraError, match=r"pip install 'hannah-hw\[train\]'") as caught:
        require("hannah_hw_no_such_package.part", "train")
    assert isinstance(caught.value, ImportError)
    assert require("math", "train").sqrt(4) == 2


def test_all_missing_packages_are_named_at_once():
    needed = {"no_such_a": "train", "math": "tvm", "no_such_b": "data", "no_such_c": "train"}
    with pytest.raises(
        MissingExtraError, match=r"'no_such_a', 'no_such_b', 'no_such_c', which are"
    ) as caught:
        require_all(needed)
    assert str(caught.value).endswith("pip install 'hannah-hw[train,data]'")
    require_all({"math": "tvm"})


def test_a_package_that_is_broken_inside_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_inside.py").write_text("import hannah_hw_no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="hannah_hw_no_such_dependency") as caught:
        require("broken_inside", "train")
    assert not isinstance(caught.value, MissingExtraError)
