"""What a document says about the search."""

import pytest

from hannah_hw import load_space
from hannah_hw.errors import SpaceError
from hannah_hw.search.algorithms import ALGORITHMS as SEARCH_ALGORITHMS
from hannah_hw.spaces.declarative import parse_space
from hannah_hw.spaces.declarative.search_algorithm import ALGORITHMS, AskedSearch, read_search

SPACE = """format: hannah-space/1
modules:
  init: {type: SmallInputInitialBlock, init_plane: {choice: [16, 32]}}
  head: {type: LinearClassificationHead, num_class: 10}
search_algorithm: """


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_name_is_an_algorithm_that_takes_the_options(name):
    asked = read_search({"type": name, "num_mutate": 4, "random_ratio": 0.25, "num_individual": 16})
    encoding = load_space("resnet_variant").encoding
    algorithm = SEARCH_ALGORITHMS[asked.algorithm](
        encoding, 2, population=asked.population, seed=0, **asked.options
    )
    assert algorithm.population == 16
    assert {*asked.options, *asked.left} == {"num_mutate", "random_ratio"}


def test_the_section_of_vegas_backbone_search():
    asked = read_search(
        {
            "type": "BackboneNas",
            "codec": "BackboneNasCodec",
            "policy": {"num_mutate": 10, "random_ratio": 0.2},
            "range": {"max_sample": 100, "min_sample": 10},
        }
    )
    assert asked == AskedSearch(
        "BackboneNas", None, {"num_mutate": 10, "random_ratio": 0.2}, ("codec", "range")
    )


def test_an_option_of_another_algorithm_is_left():
    asked = read_search({"type": "nsga2", "population": 24, "num_mutate": 3})
    assert asked == AskedSearch("nsga2", 24, {}, ("num_mutate",))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{type: BackboneNas, policy: {num_mutate: 1}}",
            r"f.yaml:5:.*policy.num_mutate: is 1; needed: an integer of at",
        ),
        ("{type: BackboneNas, num_mutate: 2.5}", "num_mutate: is 2.5; needed: an integer"),
        (
            "{type: QuantEA, random_ratio: 1}",
            "random_ratio: is 1; needed: a number of at least 0 and below 1",
        ),
        ("{type: PruneEA, policy: {num_individual: many}}", "num_individual: is 'many'; needed: an integer"),
    ],
)
def test_numbers_out_of_range_have_a_place(section, message):
    with pytest.raises(SpaceError, match=message):
        parse_space(SPACE + section, "f.yaml")
