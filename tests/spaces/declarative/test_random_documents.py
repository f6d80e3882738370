"""Random documents end in a message with a code and a place, or in a space whose candidates are right."""

import warnings

from hypothesis import HealthCheck, given, settings

from hannah_hw import load_space
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.spaces.declarative.problems import SpaceWarning
from tests.search_spaces.agreement import compare
from tests.spaces.declarative.random_documents import documents


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(documents())
def test_an_error_with_a_place_or_a_space_whose_candidates_agree(tmp_path, text):
    path = tmp_path / "net.yaml"
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpaceWarning)
        try:
            space = load_space(str(path))
        except SpaceError as error:
            refused = error
        else:
            refused = None
    if refused is not None:
        assert refused.code.startswith("E_")
        assert str(refused).startswith(str(path))
        return
    names, mismatches, deviations = compare(space, 10, seed=0)
    assert names
    assert not mismatches
    if "Quant" not in text:  # what is rounded differently moves by a whole step
        assert max(deviations) < 1e-4
    rows = space.sample_population(5, seed=1)
    for row, count in zip(rows, space.parameter_counts(rows), strict=True):
        module = BasicExecutor(space.candidate_of(row))
        assert sum(weight.numel() for weight in module.parameters()) == count
