"""The verbs on accelerators: what is drawn, explained and written, and mistakes with what to do."""

import json

import pytest
import yaml

from hannah_hw.cli import main
from hannah_hw.cli.target_new import KINDS
from hannah_hw.targets import Accelerator, list_targets, load_target
from hannah_hw.targets.advice import values, warnings
from hannah_hw.targets.drawing import draw, sources
from hannah_hw.workload import KERNEL_KINDS


def _json(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_list_has_both_families(capsys):
    entries = {entry["name"]: entry for entry in _json(capsys, "targets", "list")}
    assert set(entries) == set(list_targets())
    assert entries["tpu_like"]["macs_per_cycle"] == 32 * 32
    assert entries["ethos_u65_512"]["macs_per_cycle"] == 512
    # 2 MiB of buffer, and 128 and 2 bytes for each of 1024 multipliers.
    assert entries["tpu_like"]["on_chip_bytes"] == 2 * 2**20 + 1024 * 130
    assert "pe" in entries["ultratrail"]["params"]
    assert main(["targets", "list"]) == 0
    text = capsys.readouterr().out
    assert text.index("Microcontrollers") < text.index("stm32l4r5zi") < text.index("Accelerators")
    assert text.index("Accelerators") < text.index("eyeriss")


def test_the_drawing_has_a_line_for_every_memory_from_the_outside_inwards():
    lines = draw(load_target("tpu_like"))
    assert [line for line in lines if "●" in line] == [
        "● ● ●  dram, no bound, holds I W O, shared over D1 D2",
        "● │ ●  sram_2MB, 2.0 MiB, holds I O, shared over D1 D2, activations stay here",
        "│ │ ●  rf_2B, 1024 x 2 B, holds O",
        "│ ● │  rf_128B, 1024 x 128 B, holds W",
    ]
    assert "│ │ │      port: 64 bit a cycle, I fill read; W fill read; O fill read update drain" in lines
    assert "│ │ │      a word: read 416.2 pJ (document), write 378.4 pJ (document)" in lines
    assert lines[-4:] == [
        "▼ ▼ ▲  array, D1 32 x D2 32 = 1024 multipliers",
        "           systolic along D1 D2",
        "           a multiply-accumulate: 0.04 pJ (document), partial sums of 16 bit",
        "           unrolled: D1: K 32, D2: C 32",
    ]


def test_sources_are_shown_once_for_the_figures_that_share_them(capsys):
    assert main(["targets", "show", "ultratrail[pe=16]"]) == 0
    text = capsys.readouterr().out
    assert "params.pe" in text
    assert "16, of 5 values 2 to 32: multipliers along each side of the array" in text
    (zigzag,) = sources(load_target("tpu_like"))
    assert zigzag[0].startswith("rf_128B.read_pj, rf_128B.write_pj, rf_2B.read_pj")
    assert zigzag[0].endswith("dram.write_pj, array.mac_pj")
    assert zigzag[1:] == ("document", "zigzag-dse 3.9.1, no technology stated")
    fitted = sources(load_target("ultratrail"))
    assert any("CACTI 7.0, own runs at 22 nm" in reference for _, _, reference in fitted)
    assert all(reference in text for _, source, reference in fitted if source != "fitted")


@pytest.mark.parametrize("name", [n for n in list_targets() if isinstance(load_target(n), Accelerator)])
def test_every_accelerator_is_shown_and_checked(capsys, name):
    assert main(["targets", "show", name]) == 0
    shown = capsys.readouterr().out
    assert load_target(name).title in shown
    document = _json(capsys, "targets", "check", name)
    assert document["valid"]
    priced = [layer for layer in document["layers"] if "refused" not in layer]
    assert priced
    assert all(layer["cycles"] > 0 for layer in priced)
    assert all("unrolling" not in warning for warning in document["warnings"])


def test_params_are_given_behind_the_name(capsys):
    document = _json(capsys, "targets", "show", "ultratrail[pe=16, wmem=128KiB]")
    assert document["assignment"]["pe"] == 16
    assert document["assignment"]["wmem"] == 128 * 1024
    assert document["array"]["dims"] == {"inputs": 16, "outputs": 16}
    label = load_target("ultratrail[pe=16,wmem=128KiB]").label
    assert load_target(label) == load_target("ultratrail").with_params({"pe": 16, "wmem": "128 KiB"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ultratrail[pe=5]", "the param 'pe' cannot be 5; allowed: 2, 4, 8, 16, 32"),
        ("ultratrail[pee=8]", "the target has no param 'pee'"),
        ("ultratrail[pe]", "'pe' does not give one param one value; allowed: NAME[pe=16,wmem=64KiB]"),
        ("ultratrail[pe=8,pe=8]", "'pe=8' does not give one param one value"),
        ("stm32l4r5zi[pe=8]", "stm32l4r5zi is a microcontroller and has no params"),
    ],
)
def test_values_that_there_are_not_are_refused(capsys, name, message):
    assert main(["targets", "show", name]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "target", "instead"),
    [
        (
            ["export", "--to", "c", "--target", "ethos_u55_128", "model.onnx"],
            "ethos_u55_128",
            "export --to tflite",
        ),
        (
            ["measure", "model.onnx", "--target", "eyeriss"],
            "eyeriss",
            "`hannah-hw estimate` and `search` price",
        ),
        (["validate", "ultratrail"], "ultratrail", "nothing here emulates it"),
        (
            ["validate", "ethos_u55_128", "--against", "board.csv"],
            "ethos_u55_128",
            "`validate` ask its compiler",
        ),
    ],
)
def test_what_needs_a_microcontroller_says_what_there_is_instead(
    capsys, monkeypatch, tmp_path, verb, target, instead
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    assert main(verb) == 1
    message = capsys.readouterr().err
    assert f"needs a microcontroller, and {target} is an accelerator" in message
    assert instead in message


@pytest.mark.parametrize("kind", KINDS)
def test_skeletons_are_valid_and_commented(capsys, monkeypatch, tmp_path, kind):
    monkeypatch.chdir(tmp_path)
    assert main(["targets", "new", "my_chip", "--kind", kind]) == 0
    capsys.readouterr()
    path = tmp_path / "my_chip.yaml"
    text = path.read_text()
    assert text.count("#") > 5
    assert "@" not in text
    document = _json(capsys, "targets", "check", str(path))
    assert (document["target"], document["valid"]) == ("my_chip", True)
    assert load_target(path).kind == kind
    if kind == "loop_nest":
        assert document["warnings"] == []
        assert document["understood"]["area_mm2"] > 0
        assert all(layer["energy_j"] > 0 for layer in document["layers"])
        assert set(document["understood"]["operators"]) == set(KERNEL_KINDS)


def test_a_copy_is_the_target_under_another_name(capsys, tmp_path):
    path = tmp_path / "copy.yaml"
    assert main(["targets", "new", "copy", "--like", "eyeriss", "--out", str(path)]) == 0
    assert f"wrote {path}; next: hannah-hw targets check {path}" in capsys.readouterr().out
    copy = load_target(path)
    assert copy.name == "copy"
    assert copy.model_copy(update={"name": "eyeriss"}) == load_target("eyeriss")
    assert main(["targets", "new", "copy", "--out", str(path)]) == 2
    assert f"{path} exists; remove it, or give another place with --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["My Chip"], "'My Chip' is no name"),
        (
            ["chip", "--kind", "loop"],
            "there is no kind 'loop'; allowed: loop_nest, closed_form, block, kernels",
        ),
        (["chip", "--kind", "block", "--like", "eyeriss"], "give one of --like and --kind"),
        (["chip", "--like", "eyerys"], "did you mean 'eyeriss'?"),
        (["chip", "--out", "chip.txt"], "the name of the file chip.txt must end in .yaml"),
        (["chip", "--out", "nowhere/chip.yaml"], "cannot write nowhere/chip.yaml: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["targets", "new", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def _changed(tmp_path, change):
    """Warnings about a target with changes to its file."""
    data = yaml.safe_load(load_target("tpu_like").origin.read_text())
    change(data)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return list(warnings(load_target(path)))


def test_a_memory_too_small_for_one_tile_is_warned_of(tmp_path):
    def change(data):
        data["memories"][2]["size"] = "64 B"

    # 32 inputs of 8 bits and 32 partial sums of 16 bits.
    (warning,) = _changed(tmp_path, change)
    assert warning == (
        "'sram_2MB' has 64 B and cannot hold one tile: I 32 B, O 64 B (8-bit values, partial sums of 16 bit); "
        "make it larger, or narrow the unrolling"
    )


def test_a_clock_without_its_unit_is_warned_of(tmp_path):
    (warning,) = _changed(tmp_path, lambda data: data.update(clock_hz=700))
    assert warning == (
        "the clock is 700 Hz; a number without a unit is in hertz, so write '700 MHz' if that is meant"
    )


def test_ports_too_narrow_for_the_array_are_warned_of(tmp_path):
    def change(data):
        data["memories"][2]["ports"][0]["max_bits"] = 128

    (warning,) = _changed(tmp_path, change)
    assert warning.startswith("the array takes 256 bit of I a cycle, and 'sram_2MB' next to it delivers 128:")


def test_idle_dimensions_unknown_energies_and_missing_rules_are_warned_of(tmp_path):
    def change(data):
        data["dataflow"]["spatial"] = [{"D1": {"K": 32}}]
        del data["memories"][3]["read_pj"]
        data["ops"] = data["ops"][:2]

    found = _changed(tmp_path, change)
    assert found[0].startswith("unrolling 1 leaves D2 without a loop, so that one unit along it works")
    assert found[1] == "no energy will be given, as these are not known: memories.dram.read_pj"
    assert found[2].startswith("networks with these operators cannot run, as no rule allows them: add, mul,")


def test_variants_that_cannot_be_are_warned_of(tmp_path):
    def change(data):
        data["params"] = {"side": {"choice": [16, 32, 64], "default": 32}}
        data["dataflow"]["spatial"] = [{"D1": {"K": "${side}"}, "D2": {"C": 32}}]

    (warning,) = _changed(tmp_path, change)
    assert warning == (
        "no such chip can be with side = 64: contradictory unrolling: K 64 takes 64 units of D1, which has 32; "
        "lower a factor, or widen the array; so it is with side = 64"
    )


def test_values_of_a_tile_by_hand():
    unrolling = {"D1": {"K": 4, "OX": 2}, "D2": {"C": 3, "FX": 3}}
    everywhere = ("D1", "D2")
    assert values(unrolling, everywhere, "W") == 4 * 3 * 3
    assert values(unrolling, everywhere, "O") == 4 * 2
    # Two outputs beside each other share two of the three columns of their windows.
    assert values(unrolling, everywhere, "I") == 3 * 4
    assert values(unrolling, ("D1",), "W") == 4
    assert values(unrolling, (), "I") == 1


def test_help_shows_what_stands_in_brackets(capsys):
    main(["targets", "show", "--help"])
    assert "ultratrail[pe=16,wmem=128KiB]" in capsys.readouterr().out
