"""Training one network on one thread, the same way wherever it runs."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hannah_hw.errors import EvaluationError, require
from hannah_hw.scoring.batches import Batches, class_weights
from hannah_hw.scoring.dataset import Dataset

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

#: Samples that are evaluated at a time.
_EVALUATION_BATCH: Final = 256
#: Steps after which a loss that is no longer finite ends a training.
_CHECK_STEPS: Final = 50


class Training(BaseModel):
    """How a candidate is trained.

    The defaults were chosen on mnist5k with depthwise-separable CNNs of 20 kMAC to 1.4 MMAC. At a batch of 64
    and 6 epochs SGD (0.4) and AdamW (0.02) both reach 97.6 % at 320 kMAC, but 92.7 % against 88.8 % at 86 kMAC
    and 75.8 % against 58.4 % at 24 kMAC. Where epochs are few, smaller batches win at nearly the same time: in 3
    epochs 84.5 % at 64, 88.0 % at 48 and 89.9 % at 32 for one network, 88.5, 92.3 and 93.7 % for another.

    Attributes:
        epochs: Passes over the training part; the last may be a part of one.
        budget_s: Nominal CPU seconds that training one candidate may take. A candidate whose nominal time is
            longer is trained for fewer epochs, at least half of one. The nominal time is a formula of the
            network (`hannah_hw.scoring.nominal.nominal_seconds`), not a clock: the result stays the same on
            every machine. None is no limit.
        batch_size: Samples a step; the last incomplete batch of an epoch is left out.
        optimizer: ``adamw`` or ``sgd`` (Nesterov momentum 0.9).
        learning_rate: Peak of the schedule.
        schedule: ``one_cycle`` (linear-cosine rise over `warmup`, cosine fall), ``cosine`` (fall alone) or
            ``constant``.
        warmup: Share of the steps in which one_cycle rises.
        weight_decay: Decoupled for AdamW, L2 for SGD; not applied to vectors (biases, normalisation).
        label_smoothing: Share of the target spread over all classes.
        shift: Training samples are moved by up to this many positions along each spatial axis, each sample
            on its own, with the border repeated. 0 is off.
        patience: Epochs without a better accuracy on the validation part after which training ends, with the weights of
            the best epoch; None: it never ends early. Where the learning rate falls, the last epochs are mostly the
            best, so it saves time with ``constant`` and under a long training, not under a short one.
        balance: Against classes of different sizes: ``loss`` weighs a sample by 1 / the size of its class, ``sampling``
            draws with replacement, each class as often as any other; ``none``.
        folds: Parts of a cross-validation of small sets; see `hannah_hw.scoring.folds`. None: there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    budget_s: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    optimizer: Literal["adamw", "sgd"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.3
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.2
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.001
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    shift: Annotated[int, Field(ge=0, le=64)] = 1
    patience: Annotated[int, Field(ge=1, le=10_000)] | None = None
    balance: Literal["none", "loss", "sampling"] = "none"
    folds: Annotated[int, Field(ge=2, le=20)] | None = None


@dataclass(frozen=True)
class TrainingResult:
    """What training one network gave.

    Attributes:
        losses: Mean training loss of each epoch.
        accuracy: Share of the validation part that the float network classifies correctly.
        seconds: Wall time, evaluation included.
        device: Where it ran.
        epochs: That were trained.
    """

    losses: tuple[float, ...]
    accuracy: float
    seconds: float
    device: str
    epochs: float


def train(
    module: nn.Module, data: Dataset, training: Training, seed: int, device: str = "cpu"
) -> TrainingResult:
    """Train a classifier in place, from the weights it has.

    On a CPU it runs on one thread whatever the process is set to, so that the same module, data and seed give
    the same weights bit for bit; the process's settings are restored. Convolutions run in channels-last layout
    through oneDNN: forward and backward of a 3x3 depthwise convolution take a half to two thirds of the time of
    the contiguous layout, and 5 % of the time without oneDNN (torch 2.13, AVX2, batch 64, 16 to 64 channels).

    Args:
        module: Maps (N, *data.input_shape) to logits (N, data.classes). It ends up on the CPU, in evaluation
            mode.
        data: Trained on the training part, evaluated on the validation part.
        training: How.
        seed: Decides the order of the samples, the shifts, and dropout if the module has any.
        device: A torch device; ``cpu`` or ``cuda``.

    Raises:
        EvaluationError: The loss is no longer finite (kind ``diverged``).
        MissingExtraError: torch is not installed.
    """
    started = time.perf_counter()
    with reproducible(seed, device):
        _place(module, data, device)
        losses, epochs = _fit(module, data, training, seed, device)
        accuracy = evaluate(module, data.x_val, data.y_val, device=device)
    module.to("cpu")
    module.eval()
    return TrainingResult(losses, accuracy, time.perf_counter() - started, device, epochs)


def validate(module: nn.Module, data: Dataset, device: str = "cpu") -> float:
    """Accuracy of a classifier on the validation part, bit for bit as `train` gives it for the same weights.

    Args:
        module: It ends up on the CPU, in evaluation mode.
        data: What it is evaluated on.
        device: A torch device.
    """
    with reproducible(0, device):
        _place(module, data, device)
        accuracy = evaluate(module, data.x_val, data.y_val, device=device)
    module.to("cpu")
    return accuracy


def _place(module: nn.Module, data: Dataset, device: str) -> None:
    """A module on its device, in the layout that convolutions of images want."""
    torch = require("torch", "train")
    convert: Any = module.to  # torch's annotations lack memory_format alone
    convert(device, memory_format=torch.channels_last if data.x_train.ndim == 4 else torch.contiguous_format)


def evaluate(module: nn.Module, samples: object, labels: object, *, device: str = "cpu") -> float:
    """Share of samples that a module classifies correctly; leaves it in evaluation mode.

    Args:
        module: On `device`.
        samples: float32 array, (N, ...).
        labels: int64 array, (N,).
        device: A torch device.
    """
    torch = require("torch", "train")
    module.eval()
    x, y = torch.as_tensor(samples), torch.as_tensor(labels)
    layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format
    correct = 0
    with torch.no_grad():
        for batch, truth in zip(x.split(_EVALUATION_BATCH), y.split(_EVALUATION_BATCH), strict=True):
            logits = module(batch.to(device).contiguous(memory_format=layout))
            correct += int((logits.argmax(1).cpu() == truth).sum())
    return correct / len(y)


def _fit(
    module: nn.Module, data: Dataset, training: Training, seed: int, device: str
) -> tuple[tuple[float, ...], float]:
    """The training loop; the mean loss of each epoch, and the number of epochs."""
    torch = require("torch", "train")
    even = training.balance == "sampling"
    batches = Batches(data, training.batch_size, training.shift, seed, device, even=even)
    steps = max(1, round(training.epochs * batches.steps))
    optimizer, schedule = _optimizer(module, training, steps)
    weights = class_weights(data).to(device) if training.balance == "loss" else None
    criterion = torch.nn.CrossEntropyLoss(weights, label_smoothing=training.label_smoothing)
    plateau = None if training.patience is None else _Plateau(module, data, training.patience, device)
    module.train()
    losses: list[float] = []
    done = 0
    for epoch in range(math.ceil(steps / batches.steps)):
        length = min(batches.steps, steps - epoch * batches.steps)
        total = torch.zeros((), device=device)
        for step, (samples, labels) in enumerate(itertools.islice(batches, length), start=1):
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(module(samples), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
            if (step % _CHECK_STEPS == 0 or step == length) and not math.isfinite(float(total)):
                raise EvaluationError(
                    f"the training loss is {float(total)} in epoch {epoch + 1} of {training.epochs:g}; "
                    f"lower the learning rate ({training.learning_rate:g})",
                    kind="diverged",
                )
        losses.append(float(total) / length)
        done += length
        if plateau is not None and plateau.reached():
            break
    if plateau is not None:
        plateau.restore()
    return tuple(losses), done / batches.steps


class _Plateau:
    """Watches the accuracy on the validation part, and keeps the weights of the best epoch."""

    def __init__(self, module: nn.Module, data: Dataset, patience: int, device: str) -> None:
        self._module = module
        self._data = data
        self._patience = patience
        self._device = device
        self._best = -1.0
        self._since = 0
        self._weights: dict[str, Tensor] = {}

    def reached(self) -> bool:
        """At the end of an epoch: whether too many have passed since the best one."""
        accuracy = evaluate(self._module, self._data.x_val, self._data.y_val, device=self._device)
        self._module.train()
        if accuracy > self._best:
            self._best, self._since = accuracy, 0
            self._weights = {name: value.clone() for name, value in self._module.state_dict().items()}
        else:
            self._since += 1
        return self._since >= self._patience

    def restore(self) -> None:
        """Go back to the best epoch."""
        self._module.load_state_dict(self._weights)


def _optimizer(
    module: nn.Module, training: Training, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    torch = require("torch", "train")
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = training.learning_rate
    if training.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    else:
        optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=True)
    rising = max(1, round(training.warmup * steps))

    def factor(step: int) -> float:
        """Learning rate of a step as a share of the peak."""
        if training.schedule == "constant":
            return 1.0
        if training.schedule == "one_cycle" and step < rising:
            return 0.1 + 0.9 * 0.5 * (1 - math.cos(math.pi * step / rising))
        start = rising if training.schedule == "one_cycle" else 0
        progress = min(1.0, (step - start) / max(1, steps - start))
        return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@contextmanager
def reproducible(seed: int, device: str) -> Iterator[None]:
    """One CPU thread, deterministic algorithms and seeded generators, all restored afterwards.

    Args:
        seed: Of torch's global generators.
        device: A torch device.
    """
    torch = require("torch", "train")
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.manual_seed(seed)
            torch.set_num_threads(1)
            torch.backends.cudnn.benchmark = False
            if not cuda:
                torch.use_deterministic_algorithms(True)
                torch.utils.deterministic.fill_uninitialized_memory = False
            yield
        finally:
            torch.set_num_threads(threads)
            torch.backends.cudnn.benchmark = benchmark
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = fill
