"""Networks of the declarative form built without a file, and plain torch networks to compare them with."""

import torch
from torch import nn

from hannah_hw import SearchSpace, Tensor
from hannah_hw.executors import BasicExecutor
from hannah_hw.graph.naming import counted
from hannah_hw.spaces.declarative.binding import Binder
from hannah_hw.spaces.declarative.channels import one_network
from hannah_hw.spaces.declarative.lookup import Lookup
from hannah_hw.spaces.declarative.network import Network
from hannah_hw.spaces.declarative.problems import current_site, entered
from hannah_hw.spaces.declarative.references import read_block, read_blocks

RESNET20 = {
    "type": "ResNet",
    "depth": 20,
    "block": {"type": "BasicBlock"},
    "init_plane": 16,
    "out_plane": 64,
    "num_reps": 9,
    "items": {
        "inchannel": [16, 16, 16, 16, 32, 32, 32, 64, 64],
        "outchannel": [16, 16, 16, 32, 32, 32, 64, 64, 64],
        "stride": [1, 1, 1, 2, 1, 1, 2, 1, 1],
    },
}

PRUNED20 = {
    "type": "ResNet",
    "depth": 20,
    "block": {"type": "BasicBlock"},
    "init_plane": 16,
    "out_plane": 60,
    "num_reps": 9,
    "items": {
        "inchannel": [16, 15, 15, 15, 29, 29, 29, 60, 60],
        "outchannel": [15, 15, 15, 29, 29, 29, 60, 60, 60],
        "inner_plane": [14, 16, 16, 29, 30, 30, 62, 60, 62],
        "stride": [1, 1, 1, 2, 1, 1, 2, 1, 1],
    },
}


def space_of(modules, size=32):
    """The space of modules, or of one block, on an image of 3 channels."""
    return SearchSpace(network_of(modules, size).output, "test")


class Basic(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))"""

    expansion = 1

    def __init__(self, width, out, stride, inner=None):
        super().__init__()
        inner = inner or out
        self.main = nn.Sequential(
            nn.Conv2d(width, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.skip = skip(width, out, stride)

    def forward(self, x):
        return torch.relu(self.main(x) + self.skip(x))


class Bottle(nn.Module):
    """1x1, 3x3, 1x1, each with its normalisation; ReLU behind the first two and behind the sum."""

    expansion = 4

    def __init__(self, width, out, stride):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, 4 * out, 1, bias=False),
            nn.BatchNorm2d(4 * out),
        )
        self.skip = skip(width, 4 * out, stride)

    def forward(self, x):
        return torch.relu(self.main(x) + self.skip(x))


def skip(width, out, stride):
    if stride == 1 and width == out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))


def plain_resnet(block, stem, rows, classes=10, small=False):
    """A residual network in plain torch.

    Args:
        block: `Basic` or `Bottle`.
        stem: Channels of the stem.
        rows: Arguments of each block behind its input channels.
        classes: Values of the result.
        small: Whether the stem keeps the size.
    """
    first = nn.Conv2d(3, stem, 3, 1, 1, bias=False) if small else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
    layers = [first, nn.BatchNorm2d(stem), nn.ReLU()]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, 1))
    width = stem
    for row in rows:
        layers.append(block(width, *row))
        width = row[0] * block.expansion
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def preset_rows(stages):
    """Output channels and strides of the blocks of a preset."""
    return [
        (64 * 2**stage, 2 if stage and not index else 1)
        for stage, count in enumerate(stages)
        for index in range(count)
    ]


def randomise(module, seed=0):
    """Give all weights and statistics values that are neither 0 nor 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.ndim == 1:
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.ndim > 1:
                bound = (3.0 / value[0].numel()) ** 0.5
                value.uniform_(-bound, bound, generator=generator)
    return module.eval()


def with_weights_of(candidate, reference):
    """A candidate's executor with the weights of a torch network, layer by layer in order of execution."""
    module = BasicExecutor(candidate).eval()
    layers = [m for m in reference.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    steps = [step for step in module.plan.steps if len(step.operands) > len(step.data)]
    assert len(steps) == len(layers)
    with torch.no_grad():
        for step, layer in zip(steps, layers, strict=True):
            own = [name for name in step.operands if name not in step.data]
            if isinstance(layer, nn.BatchNorm2d):
                values = [layer.running_mean, layer.running_var, layer.weight, layer.bias]
            elif isinstance(layer, nn.Linear):
                values = [layer.weight.T, layer.bias]
            else:
                values = [layer.weight]
            for name, value in zip(own, values, strict=True):
                assert module.weight(name).shape == value.shape
                module.weight(name).copy_(value)
    return module


def network_of(modules, size=32):
    """The network of modules, or of one block, as a process sees it."""
    modules = {"net": modules} if "type" in modules else modules
    binder = Binder()
    refs = {name: read_blocks(block, Lookup()).bind(binder, (name,)) for name, block in modules.items()}

    def rebuild():
        ends = {}
        with counted(""), one_network():
            x = first = Tensor("input", (1, 3, size, size), axis=("N", "C", "H", "W"))
            for name, ref in refs.items():
                ref.label = name
                x = ends[name] = ref(x)
        return Network(first, x, ends, rebuild)

    return rebuild()


def processed(modules, *processes, size=32):
    """The space of modules on which processes were run."""
    network = network_of(modules, size)
    for process in processes:
        spec = read_block(process, Lookup(), process=True)
        fields = {name: Binder().bind(value, ("process", name)) for name, value in spec.fields.items()}
        with entered(current_site().at("process")):
            network = spec.definition.function(network, **fields)
    return SearchSpace(network.output, "test")
