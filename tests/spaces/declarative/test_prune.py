"""The process Prune: kept channels as parameters, and masks applied to the checkpoint of the unpruned network."""

import copy
import io
import zipfile

import numpy as np
import pytest
import torch
import yaml

from hannah_hw import SearchSpace, load_space
from hannah_hw.errors import SpaceError
from hannah_hw.executors import BasicExecutor
from hannah_hw.operators import Permute, Upsample
from hannah_hw.spaces.declarative import masks
from hannah_hw.spaces.declarative.build import build
from hannah_hw.spaces.declarative.document import parse_space
from hannah_hw.spaces.declarative.masks import (
    MAX_CHECKPOINT_BYTES,
    apply_masks,
    prune_weights,
    read_checkpoint,
)
from hannah_hw.spaces.declarative.quant import quantised_convolutions
from tests.spaces.declarative.networks import (
    PRUNED20,
    RESNET20,
    Basic,
    network_of,
    plain_resnet,
    processed,
    randomise,
    space_of,
    with_weights_of,
)

NODE = [16, 16, 32, 64]
INNER = [16, 16, 16, 32, 32, 32, 64, 64, 64]
SEARCH = {"type": "Prune", "search": True}
ROWS = list(zip(RESNET20["items"]["outchannel"], RESNET20["items"]["stride"], strict=True))


def image(seed=1):
    return torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(seed))


def random_masks(seed, *, stem_as_stage=False, counts=None):
    """Masks that keep some channels of each row, or given numbers of them."""
    rng = np.random.default_rng(seed)
    widths = [*NODE, *INNER]
    if counts is None:
        counts = [int(rng.integers(1, width)) for width in widths]
        counts[1] = counts[0] % 15 + 1
    kept_of = [rng.permutation(width)[:count] for width, count in zip(widths, counts, strict=True)]
    masks = [np.isin(np.arange(w), k).astype(int).tolist() for w, k in zip(widths, kept_of, strict=True)]
    if stem_as_stage:
        masks[1] = masks[0]
    return masks[:4], masks[4:]


def kept(masks):
    return [sum(mask) for mask in masks]


def masked_output(network, x, node, inner):
    """What a plain network computes if channels are set to zero: of the stem, inside of and behind each block."""
    stem, norm, relu, pool, *blocks, average, flat, linear = network

    def only(value, mask):
        return value * torch.tensor(mask, dtype=value.dtype)[:, None, None]

    x = only(pool(relu(norm(stem(x)))), node[0])
    for index, block in enumerate(blocks):
        first, second = block.main[:3], block.main[3:]
        main = second(only(first(x), inner[index]))
        x = only(torch.relu(main + block.skip(x)), node[1 + index // 3])
    return linear(flat(average(x)))


@pytest.fixture(scope="module")
def unpruned():
    """A plain torch network with random weights, and a checkpoint of it."""
    network = randomise(plain_resnet(Basic, 16, ROWS), seed=3)
    return network, with_weights_of(space_of(RESNET20).candidate({}), network).state_dict()


def test_kept_channels_are_parameters():
    space = processed(RESNET20, SEARCH)
    expected = {f"process.node.{i}": w for i, w in enumerate(NODE)}
    expected |= {f"process.inner.{i}": w for i, w in enumerate(INNER)}
    assert {name: (p.min, p.max, p.default) for name, p in space.parameters.items()} == {
        name: (1, width, width) for name, width in expected.items()
    }
    assert space.candidate({}).parameters == 274_394
    items = PRUNED20["items"]
    nodes = [16, *items["outchannel"][::3]]
    widths = [*zip((f"process.node.{i}" for i in range(4)), nodes, strict=True)]
    widths += [*zip((f"process.inner.{i}" for i in range(9)), items["inner_plane"], strict=True)]
    assert space.candidate(dict(widths)).parameters == 243_651


def test_kept_channels_in_steps():
    space = processed(RESNET20, {**SEARCH, "step": 8})
    assert space.parameters["process.node.3"].levels == tuple(range(8, 65, 8))
    with pytest.raises(SpaceError, match="does not divide the width 16") as caught:
        processed(RESNET20, {**SEARCH, "step": 5})
    assert caught.value.code == "E_PRUNE"
    searched = {"type": "ResNetVariant", "base_depth": 18, "base_channel": {"choice": [8, 16]}}
    lists = {"doublechannel": [0] * 8, "downsample": [0] * 8}
    with pytest.raises(SpaceError, match="depends on parameters already"):
        processed({**searched, **lists}, SEARCH)


def test_bottlenecks_have_two_inner_widths():
    modules = {
        "init": {"type": "SmallInputInitialBlock", "init_plane": 4},
        "layer": {
            "type": "BasicLayer",
            "block": {"type": "BottleneckBlock"},
            "base_channel": 2,
            "layer_reps": [2, 1],
        },
    }
    space = processed(modules, SEARCH, size=8)
    widths = {name: p.max for name, p in space.parameters.items()}
    assert widths == {f"process.node.{i}": w for i, w in enumerate([4, 8, 16])} | {
        f"process.inner.{i}": w for i, w in enumerate([2, 2, 2, 2, 4, 4])
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_small_network_computes_what_the_masked_one_does(unpruned, seed):
    network, checkpoint = unpruned
    counts = None if seed else [16, *PRUNED20["items"]["outchannel"][::3], *PRUNED20["items"]["inner_plane"]]
    node, inner = random_masks(seed, counts=counts)
    space = space_of(PRUNED20) if counts else processed(RESNET20, SEARCH)
    pruned = prune_weights(space, checkpoint, node, inner)
    module = BasicExecutor(pruned.candidate).eval()
    module.load_state_dict(pruned.state)
    widths = {len(v) for k, v in pruned.state.items() if k.endswith("Conv2d_0.weight")}
    assert widths <= {*kept(node), *kept(inner)}
    with torch.no_grad():
        expected = masked_output(network, image(), node, inner)
        torch.testing.assert_close(
            module(image()), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
        assert (expected - network(image())).abs().max() > 1e-2


def test_weights_multiplied_by_masks_are_the_masked_network(unpruned):
    """With one mask for what an identity joins, the masks of weights, scales and offsets are enough."""
    network, checkpoint = unpruned
    node, inner = random_masks(8, stem_as_stage=True)
    big = copy.deepcopy(network)
    stem, norm, _, _, *blocks, _, _, _ = big
    writers = [(stem, norm, node[0])]
    for index, block in enumerate(blocks):
        stage = node[1 + index // 3]
        writers += [(block.main[0], block.main[1], inner[index]), (block.main[3], block.main[4], stage)]
        if list(block.skip.children()):
            writers.append((block.skip[0], block.skip[1], stage))
    with torch.no_grad():
        for convolution, normalisation, keeps in writers:
            mask = torch.tensor(keeps, dtype=torch.float32)
            convolution.weight.mul_(mask[:, None, None, None])
            normalisation.weight.mul_(mask)
            normalisation.bias.mul_(mask)
        pruned = prune_weights(processed(RESNET20, SEARCH), checkpoint, node, inner)
        module = BasicExecutor(pruned.candidate).eval()
        module.load_state_dict(pruned.state)
        expected = big(image())
        torch.testing.assert_close(
            module(image()), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
    assert pruned.candidate.parameters < 274_394


def test_kept_channels_and_bits_in_either_order():
    quant = {"type": "Quant", "nbit_w_list": {"code": {"length": 20, "choices": [4, 8]}}, "nbit_a_list": 6}
    for process in ([SEARCH, quant], [quant, SEARCH]):
        text = yaml.safe_dump({"format": "hannah-space/1", "modules": {"net": RESNET20}, "process": process})
        space = SearchSpace(build(parse_space(text)).output)
        kinds = sorted(name.split(".")[2] for name in space.parameters)
        assert kinds == ["inner"] * 9 + ["nbit_w_list"] * 20 + ["node"] * 4
        candidate = space.candidate({})
        assert candidate.parameters == 274_394
        # 20 convolutions of the default candidate, and the shortcut around the first block.
        widths = quantised_convolutions(space.order)
        assert len(widths) == 21
        shortcut = next(w for name, w in widths.items() if "BasicBlock_0.projection" in name)
        before = next(w for name, w in widths.items() if "BasicBlock_0.Conv2d_1" in name)
        assert (shortcut.weight, shortcut.activation) == (before.weight, 6)
        assert candidate.workload().bops[0] == (3_125_888 - 602_112 - 640) * 4 * 6 + (602_112 + 640) * 64


def of_document(checkpoint):
    """The checkpoint of a document with another name, whose module is called resnet."""
    return {name.replace("net_0.", "other_0.resnet_0.", 1): value for name, value in checkpoint.items()}


def document(tmp_path, node, inner, items=None, **fields):
    """A Vega document with masks."""
    space = {
        "type": "FineGrainedSpace",
        "modules": ["resnet", "process"],
        "resnet": items or PRUNED20,
        "process": {"type": "Prune", "chn_node_mask": node, "chn_mask": inner, **fields},
    }
    path = tmp_path / "pruned.yaml"
    path.write_text(yaml.safe_dump({"search_space": space}))
    return path


def test_the_document_of_the_guide_fails_only_when_its_masks_are_applied(unpruned):
    space = load_space("tests/fixtures/vega/prune_resnet20.yaml")
    assert space.candidate(space.default()).parameters == 243_651
    with pytest.raises(SpaceError, match=r"bestmodel\.pth") as missing:
        apply_masks(space)
    assert missing.value.code == "E_CHECKPOINT"
    with pytest.raises(SpaceError) as caught:
        apply_masks(space, of_document(unpruned[1]))
    assert caught.value.code == "E_MASK_SHAPE"
    assert (
        "process.chn_mask: 12 rows of width 12; expected 9 rows of widths 16,16,16,32,32,32,64,64,64"
        in str(caught.value)
    )
    assert "prune_resnet20.yaml:" in str(caught.value)


def test_masks_from_a_document_and_a_file(unpruned, tmp_path):
    network, checkpoint = unpruned
    counts = [16, *PRUNED20["items"]["outchannel"][::3], *PRUNED20["items"]["inner_plane"]]
    node, inner = random_masks(5, counts=counts)
    path = document(tmp_path, node, inner, init_model_file="best.pth")
    torch.save(of_document(checkpoint), tmp_path / "best.pth")
    pruned = apply_masks(load_space(str(path)))
    module = BasicExecutor(pruned.candidate).eval()
    module.load_state_dict(pruned.state)
    with torch.no_grad():
        expected = masked_output(network, image(), node, inner)
        torch.testing.assert_close(
            module(image()), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )


def test_masks_that_do_not_fit(unpruned):
    space, (_, checkpoint) = processed(RESNET20, SEARCH), unpruned
    node, inner = random_masks(0)

    def refused(node, inner, space=space, state=checkpoint, **options):
        with pytest.raises(SpaceError) as caught:
            prune_weights(space, state, node, inner, **options)
        return caught.value.code, str(caught.value)

    code, text = refused(node[:3], inner)
    assert code == "E_MASK_SHAPE"
    assert "chn_node_mask: 3 rows of widths 16,16,32; expected 4 rows of widths 16,16,32,64" in text
    none = [*inner[:2], [0] * 16, *inner[3:]]
    code, text = refused(node, none)
    assert code == "E_MASK_EMPTY"
    assert "chn_mask.2: keeps no channel" in text
    one, same, other = (prune_weights(space, checkpoint, node, none, repair=seed) for seed in (7, 7, 8))
    assert one.candidate.assignment["process.inner.2"] == 1
    assert all(torch.equal(value, same.state[name]) for name, value in one.state.items())
    assert not all(torch.equal(value, other.state[name]) for name, value in one.state.items())
    # As many channels of the stem as of the first stage, but others: the identity between them adds them.
    stem, stage = [1] * 8 + [0] * 8, [0] * 8 + [1] * 8
    assert refused([stem, stage, *node[2:]], inner)[0] == "E_MASK_NODE"
    code, text = refused(node, inner, space=space_of(PRUNED20))
    assert code == "E_WIDTH"
    assert "chn_mask.0" in text


def test_checkpoints_that_do_not_fit(unpruned, tmp_path, capfd):
    space, (_, checkpoint) = processed(RESNET20, SEARCH), unpruned
    node, inner = random_masks(0)
    first = next(name for name in checkpoint if name.endswith("running_mean"))
    kernel = next(name for name, value in checkpoint.items() if value.ndim == 4)
    inner_norm = [name for name in checkpoint if "BasicBlock_1.BatchNorm_1." in name]
    assert len(inner_norm) == 4
    with_nan = checkpoint[first].clone()
    with_nan[3] = float("nan")
    for text, state in {
        f"it has no {first}": {name: value for name, value in checkpoint.items() if name != first},
        # Only what stands for an identity may be missing.
        f"it has no {inner_norm[0].rpartition('.')[0]}.running_mean": {
            n: value for n, value in checkpoint.items() if n not in inner_norm
        },
        "1 weights that the small network has no place for: net_0.more.weight": {
            **checkpoint,
            "net_0.more.weight": torch.zeros(1),
        },
        "it has no weights for the output channels": {},
        f"{first} is (3,), that of the unpruned network is (16,)": {**checkpoint, first: torch.zeros(3)},
        f"{first} is (), ": {**checkpoint, first: torch.zeros(())},
        f"{first} is (1000000000000,), ": {**checkpoint, first: torch.zeros(1).expand(10**12)},
        f"{first} is no plain tensor of real numbers but torch.int64": {
            **checkpoint,
            first: torch.ones(16).long(),
        },
        f"{first} is no plain tensor of real numbers but torch.complex64": {
            **checkpoint,
            first: torch.zeros(16, dtype=torch.complex64),
        },
        f"{first} is no plain tensor": {**checkpoint, first: torch.zeros(16, device="meta")},
        f"{kernel} is no plain tensor": {**checkpoint, kernel: checkpoint[kernel].to_sparse()},
        f"{first} has values that are no finite numbers": {**checkpoint, first: with_nan},
    }.items():
        with pytest.raises(SpaceError) as caught:
            prune_weights(space, state, [[1] * len(row) for row in node], inner)
        assert caught.value.code == "E_CHECKPOINT"
        assert text in str(caught.value)
    loaded = load_space(str(document(tmp_path, node, inner, RESNET20, search=True)))

    class Surprise:
        def __reduce__(self):
            return (print, ("executed",))

    for content, text in (
        ({"a": Surprise()}, "holds more than tensors, which is not executed"),
        ([1, 2], "holds no mapping of names to tensors"),
        ({"a": 1}, "holds no mapping of names to tensors"),
        ({1: torch.zeros(1)}, "holds no mapping of names to tensors"),
    ):
        for zipped in (True, False):
            torch.save(content, tmp_path / "file.pth", _use_new_zipfile_serialization=zipped)
            with pytest.raises(SpaceError, match=text) as caught:
                apply_masks(loaded, tmp_path / "file.pth")
            assert caught.value.code == "E_CHECKPOINT"
    assert "executed" not in capfd.readouterr().out
    with pytest.raises(SpaceError, match="there is no file"):
        apply_masks(loaded, tmp_path)
    large = tmp_path / "large.pth"
    with large.open("wb") as stream:
        stream.truncate(MAX_CHECKPOINT_BYTES + 1)
    with pytest.raises(SpaceError, match="at most"):
        apply_masks(loaded, large)


def test_broken_and_packed_checkpoints(tmp_path, monkeypatch):
    path = tmp_path / "file.pth"
    torch.save({"a.b": torch.zeros(50, 50)}, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = []
    for _ in range(150):
        broken = bytearray(whole)
        for position in rng.integers(len(broken), size=4):
            broken[position] = rng.integers(256)
        path.write_bytes(broken[: rng.integers(len(broken))] if rng.random() < 0.2 else broken)
        try:
            read_checkpoint(path)
        except SpaceError as error:
            refused.append(error.code)
    assert len(refused) > 50
    assert set(refused) == {"E_CHECKPOINT"}
    # An archive is as large as what is in it.
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in source.infolist():
            packed.writestr(entry.filename, source.read(entry.filename))
    assert read_checkpoint(path)["a.b"].shape == (50, 50)
    monkeypatch.setattr(masks, "MAX_CHECKPOINT_BYTES", 9000)
    assert path.stat().st_size < 9000
    with pytest.raises(SpaceError, match="at most 9000 are read"):
        read_checkpoint(path)


def test_one_process_says_what_is_kept():
    with pytest.raises(SpaceError, match="another process says already how many channels are kept") as caught:
        processed(RESNET20, SEARCH, SEARCH)
    assert caught.value.code == "E_CONFLICT"


def test_masks_are_for_networks_of_convolutions():
    network = network_of({"type": "SmallInputInitialBlock", "init_plane": 4})
    for operator in (Permute(dims=(0, 2, 1, 3)), Upsample(2, "nearest")):
        space = SearchSpace(operator(network.output))
        with pytest.raises(SpaceError, match=rf"is a {type(operator).__name__}; masks are for") as caught:
            prune_weights(space, {}, [[1] * 4], [])
        assert caught.value.code == "E_PRUNE"
