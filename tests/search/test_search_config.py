"""The configuration: what is accepted, what the message says, and what a hash covers."""

import numpy as np
import pytest

from hannah_hw.errors import ConfigError
from hannah_hw.search.config import dump_config, load_config
from hannah_hw.search.metrics import parse_constraint
from hannah_hw.targets import load_target

GOOD = """\
version: 1
space: ds_cnn
target: stm32l4r5zi
data: mnist5k
objectives: {latency: min, error: min}
constraints: {ram: "<= 64 KiB", latency: "<= 5 ms", energy: ">= 2e-6 J"}
search:
  algorithm: aging
  evaluations: 50
"""


@pytest.fixture
def write(tmp_path):
    def writer(text=GOOD):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def test_units_become_base_units_and_defaults_are_filled_in(write):
    config = load_config(write())
    assert [(c.metric, c.sign, c.bound) for c in config.goals.constraints] == [
        ("latency", "<=", 0.005),
        ("energy", ">=", 2e-6),
        ("ram", "<=", 65536.0),
    ]
    assert list(config.goals.objectives) == ["error", "latency"]
    assert (config.search.population, config.search.timeout, config.search.seed) == (None, 600.0, 0)
    assert config.space.name == "ds_cnn"
    assert config.space.options == {}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            ("ds_cnn", "{name: ds_cnn, depth: 3}\nspcae: x"),
            ["config.yaml:3", "spcae", "did you mean 'space'"],
        ),
        (
            ("latency: min, ", "latncy: min, "),
            ["config.yaml:5", "objectives.latncy", "did you mean 'latency'"],
        ),
        (("latency: min", "latency: minimum"), ["config.yaml:5", "objectives.latency", "'min' or 'max'"]),
        (
            ("algorithm: aging", "algorithm: agin"),
            ["config.yaml:8", "search.algorithm", "did you mean 'aging'", "package.module:Class"],
        ),
        (("algorithm: aging", "algorithm: no.such:Thing"), ["search.algorithm", "cannot be imported"]),
        (("algorithm: aging", "algorithm: collections:Counter"), ["search.algorithm", "is no algorithm"]),
        (
            ("algorithm: aging", "algorithm: BackboneNas\n  options: {num_mutat: 4}"),
            ["search.options", "no option 'num_mutat'", "did you mean 'num_mutate'"],
        ),
        (("search:", "preference: {eror: 5 %}\nsearch:"), ["preference", "did you mean 'error'"]),
        (("search:", "preference: {ram: 5 KiB}\nsearch:"), ["preference: 'ram' is no objective"]),
        (("search:", "preference: {error: 5 ms}\nsearch:"), ["preference", "ms"]),
        (('"<= 64 KiB"', '"<= 64 KiBs"'), ["config.yaml:6", "constraints.ram", "did you mean 'KiB'"]),
        (('"<= 64 KiB"', '"64 KiB"'), ["constraints.ram", "no comparison", "<= 64 KiB"]),
        (('"<= 64 KiB"', '"< 64 KiB"'), ["constraints.ram", "'<' is not allowed"]),
        (('"<= 64 KiB"', '"<= -1"'), ["constraints.ram", "at least 0"]),
        (('"<= 64 KiB"', '"<= 5 ms"'), ["constraints.ram", "unit 'ms'", "bytes"]),
        (("aging", "agng"), ["config.yaml:8", "search.algorithm", "did you mean 'aging'"]),
        (
            ("evaluations: 50", "evaluations: 0"),
            ["config.yaml:9", "search.evaluations", "must be at least 1"],
        ),
        (
            ("evaluations: 50", "workers: 0"),
            ["config.yaml:9", "search.workers", "from 1 to 1024, or tcp://HOST:PORT"],
        ),
        (
            ("evaluations: 50", "workers: host:80"),
            ["config.yaml:9", "search.workers", "'host:80' is no address"],
        ),
        (("version: 1", "version: 2"), ["config.yaml:1", "version"]),
        (("data: mnist5k\n", ""), ["'data'", "error"]),
        (("{latency: min, error: min}", "{}"), ["config.yaml:5", "at least one objective"]),
        (("version: 1", "training: {epochs: many}\nversion: 1"), ["config.yaml:1", "training.epochs"]),
        (("version: 1", "training: {epoch: 3}\nversion: 1"), ["training.epoch", "did you mean 'epochs'"]),
        (("space: ds_cnn", "space: 3"), ["config.yaml:2", "space"]),
        (("space: ds_cnn", "space: ds_cn"), ["config.yaml:2:1 space", "did you mean 'ds_cnn'"]),
        (("space: ds_cnn", "space: mine/space.py"), ["config.yaml:2:1 space", "no file 'mine/space.py' in"]),
        (("stm32l4r5zi", "stm32l4r5z"), ["config.yaml:3:1 target", "did you mean 'stm32l4r5zi'"]),
        (
            ("stm32l4r5zi", "stm32l4r5zi:cmsis"),
            ["config.yaml:3:1 target", "unknown runtime 'cmsis'", "did you mean 'cmsis_nn'"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(write, change, parts):
    assert change[0] in GOOD
    with pytest.raises(ConfigError) as caught:
        load_config(write(GOOD.replace(*change, 1)))
    for part in parts:
        assert part in str(caught.value)


def test_overrides_replace_fields_and_are_named_in_errors(write):
    path = write()
    config = load_config(
        path, ["search.seed=7", "constraints.flash=<= 1 MiB", "space.classes=4", "training.epochs=2"]
    )
    assert config.search.seed == 7
    assert load_config(path, ["search.memory=1.5 GiB"]).search.memory == 1610612736
    assert config.search.memory is None
    assert load_config(path, ["search.workers=tls://[::1]:8786"]).search.workers == "tls://[::1]:8786"
    assert config.search.algorithm == "aging"
    assert config.space.options == {"classes": 4}
    assert config.training == {"epochs": 2}
    assert any(c.metric == "flash" and c.bound == 2**20 for c in config.goals.constraints)
    with pytest.raises(ConfigError, match=r"--set search.sed=7: unknown field 'sed'.*did you mean 'seed'"):
        load_config(path, ["search.sed=7"])
    with pytest.raises(ConfigError, match="key=value"):
        load_config(path, ["search.seed"])
    with pytest.raises(ConfigError, match="not a section"):
        load_config(path, ["target.name=3"])
    assert load_config(path).search.seed == 0


def test_hash_covers_what_changes_results_and_nothing_else(write):
    base = load_config(write())
    for same in (
        "search.workers=3",
        "search.workers=tcp://10.0.0.1:8786",
        "search.evaluations=99",
        "search.timeout=5 s",
        "search.memory=2 GiB",
        "constraints.ram=<= 65536",
    ):
        assert load_config(write(), [same]).hash == base.hash, same
    for other in ("search.seed=1", "constraints.ram=<= 65537", "target=nrf5340", "training.epochs=3"):
        assert load_config(write(), [other]).hash != base.hash, other


def test_resolved_copy_reads_back_as_the_same_configuration(write, tmp_path):
    config = load_config(write(), ["constraints.error=<= 5 %", "search.timeout=2 min"])
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config, {"hash": config.hash, "versions": {"numpy": "2"}}), encoding="utf-8")
    again = load_config(copy)
    assert again.to_dict() == config.to_dict()
    assert again.hash == config.hash
    assert again.resolved == {"hash": config.hash, "versions": {"numpy": "2"}}


def test_paths_are_found_beside_the_configuration(write, tmp_path):
    (tmp_path / "mine.py").touch()
    (tmp_path / "chip.yaml").touch()
    text = GOOD.replace("space: ds_cnn", "space: {name: mine.py}").replace("stm32l4r5zi", "chip.yaml")
    config = load_config(write(text))
    assert config.space.name == str(tmp_path / "mine.py")
    assert config.target == str(tmp_path / "chip.yaml")
    (tmp_path / "chip.yaml").write_text(load_target("stm32l4r5zi").origin.read_text())
    other = load_config(write(text), ["target=chip.yaml:cmsis_nn"])
    assert other.target == f"{tmp_path / 'chip.yaml'}:cmsis_nn"
    assert load_config(write(), ["target=stm32l4r5zi:cmsis_nn"]).target == "stm32l4r5zi:cmsis_nn"
    named = load_config(write(text), ["space.name=mine.py:small"])
    assert named.space.name == f"{tmp_path / 'mine.py'}:small"


def test_violation_is_relative_to_the_bound():
    constraint = parse_constraint("ram", "<= 100 B")
    assert constraint.violation(np.array([50.0, 100.0, 150.0])).tolist() == [0.0, 0.0, 0.5]
    floor = parse_constraint("macs", ">= 2 k")
    assert floor.violation(np.array([1000.0, 2000.0, 5000.0])).tolist() == [0.5, 0.0, 0.0]


def test_hopes_are_read_in_base_units_and_kept(write, tmp_path):
    config = load_config(write(GOOD.replace("search:", 'preference: {error: "5 %", latency: 2 ms}\nsearch:')))
    assert config.goals.aspirations == {"error": 0.05, "latency": 0.002}
    assert config.hash != load_config(write()).hash
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(config, {}), encoding="utf-8")
    assert load_config(again).hash == config.hash


def test_an_algorithm_of_an_installed_package_is_named_by_its_module(write):
    text = GOOD.replace("aging", "hannah_hw.search.algorithms.vega:BackboneNas\n  options: {num_mutate: 4}")
    config = load_config(write(text))
    assert config.search.options == {"num_mutate": 4}
