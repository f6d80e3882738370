"""Runs zigzag-dse 3.9.1 on random layers and orderings; its rows have the columns that `zigzag_peer` reads."""

import json
import logging
import random
import time

from zigzag.cost_model.cost_model import CostModelEvaluation
from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.opt.loma.engine import LomaEngine
from zigzag.opt.loma.memory_allocator import (
    MemoryAllocator,
    MemoryHierarchyTooSmallException,
    MemoryTooSmallException,
)
from zigzag.parser.mapping_validator import MappingValidator
from zigzag.parser.workload_factory import WorkloadFactory
from zigzag.parser.workload_validator import WorkloadValidator
from zigzag.stages.mapping.spatial_mapping_conversion import SpatialMappingConversionStage
from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
from zigzag.stages.parser.accelerator_parser import AcceleratorParserStage
from zigzag_peer import WIDTHS

from hannah_hw.cost.accelerators.layers import LOOPS

logging.getLogger("zigzag").setLevel(logging.ERROR)

_EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"


def random_layer(generator: random.Random, dilated: bool = False) -> dict[str, int]:
    """A convolution (plain, grouped, depthwise, one-dimensional, pointwise) or a linear layer, padded or not."""
    kind = generator.choice(["conv", "conv", "grouped", "depthwise", "conv1d", "pointwise", "linear"])
    channels = lambda: generator.choice([1, 3, 8, 12, 16, 25, 32, 40, 64, 96, 100, 128])  # noqa: E731
    layer = dict.fromkeys([*LOOPS, "sx", "sy", "dx", "dy"], 1)
    layer |= {"K": channels(), "C": channels()}
    if kind == "linear":
        layer |= {
            "K": generator.choice([2, 10, 12, 100, 256, 1000]),
            "C": generator.choice([64, 256, 400, 1024]),
        }
    else:
        layer |= {"OX": generator.choice([1, 5, 7, 10, 14, 25, 28, 32, 56])}
        layer |= {"OY": 1 if kind == "conv1d" else generator.choice([1, 5, 7, 13, 14, 25, 28, 32])}
    if kind in ("conv", "grouped", "depthwise", "conv1d"):
        layer |= {"FX": generator.choice([2, 3, 3, 5, 9])}
        layer |= {"FY": 1 if kind == "conv1d" else generator.choice([2, 3, 3, 5, 7])}
        layer |= {"sx": generator.choice([1, 1, 2, 3]), "sy": generator.choice([1, 1, 2, 3])}
    if dilated:
        layer |= {"dx": generator.choice([1, 2, 3]), "dy": generator.choice([1, 2])}
    if kind == "depthwise":
        layer |= {"G": channels(), "K": 1, "C": 1}
    if kind == "grouped":
        layer |= {"G": generator.choice([2, 4, 8])}
    for out, window, stride, dilation, size in (
        ("OX", "FX", "sx", "dx", "IX"),
        ("OY", "FY", "sy", "dy", "IY"),
    ):
        span = (layer[out] - 1) * layer[stride] + (layer[window] - 1) * layer[dilation] + 1
        padding = generator.randrange(layer[window]) if span > layer[window] else 0
        layer[size] = span - padding
    layer["macs"] = 1
    for loop in LOOPS:
        layer["macs"] *= layer[loop]
    return layer


class Peer:
    """ZigZag on one accelerator."""

    def __init__(self, path):
        """Load an accelerator from its YAML."""
        self.accelerator = AcceleratorParserStage.parse_accelerator(str(path))
        self.seconds = 0.0

    def random_unrolling(self, generator: random.Random):
        """One or two loops on every dimension of the array; a loop may come on several."""
        found = {}
        for dimension, units in self.accelerator.operational_array.dimension_sizes.items():
            found[str(dimension)] = {}
            left = units
            for loop in generator.sample(
                ["K", "C", "OX", "OY", "G", "FX", "FY"], generator.choice([1, 1, 2])
            ):
                taken = min(generator.choice([2, 3, 4, 5, 7, 8, 12, 16, 32]), left)
                found[str(dimension)][loop] = taken
                left //= taken
        return found

    def node(self, layer, unrolling):
        """ZigZag's layer, its unrolling in both of ZigZag's forms.

        Args:
            layer: Sizes and strides.
            unrolling: Array dimension -> loop -> units.
        """
        loops = {
            "id": 0,
            "name": "layer",
            "operator_type": "Conv",
            "equation": _EQUATION,
            "dimension_relations": [
                f"ix={layer['sx']}*ox+{layer['dx']}*fx",
                f"iy={layer['sy']}*oy+{layer['dy']}*fy",
            ],
            "loop_dims": list(LOOPS),
            "loop_sizes": [layer[loop] for loop in LOOPS],
            "operand_precision": {
                "W": WIDTHS["W"],
                "I": WIDTHS["I"],
                "O": WIDTHS["O"],
                "O_final": WIDTHS["O_final"],
            },
            "operand_source": {"I": 0, "W": 0},
            "pr_loop_dims": ["IX", "IY"],
            "pr_loop_sizes": [layer["IX"], layer["IY"]],
            "padding": [[0, 0], [0, 0]],
        }
        mapping = {
            "name": "default",
            "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
            "spatial_mapping": {
                dimension: [f"{loop}, {units}" for loop, units in own.items()]
                for dimension, own in unrolling.items()
            },
        }
        workload, mappings = WorkloadValidator([loops]), MappingValidator([mapping])
        if not (workload.validate() and mappings.validate()):
            raise ValueError("ZigZag refuses the layer or the mapping")
        node = next(
            iter(WorkloadFactory(workload.normalized_data, mappings.normalized_data).create().nodes())
        )
        stage = SpatialMappingGeneratorStage([None], accelerator=self.accelerator, layer=node)
        node.spatial_mapping = next(iter(stage.generate_spatial_mappings()))
        conversion = SpatialMappingConversionStage([None], accelerator=self.accelerator, layer=node)
        return node, *conversion.convert_user_spatial_mapping(node.spatial_mapping)

    def rows(self, layer, unrolling, generator: random.Random, count: int, limit: int = 6):
        """Results of some random orderings of a layer, ZigZag's allocation of each.

        Orderings whose tiles do not fit give a row without results.
        """
        node, average, floored = self.node(layer, unrolling)
        engine = LomaEngine(
            accelerator=self.accelerator,
            layer=node,
            spatial_mapping=average,
            mapping_type=TemporalMappingType.UNEVEN,
            loma_lpf_limit=limit,
        )
        engine.temporal_loop_dim_size = engine.get_temporal_loops()
        engine.update_min_lpf_factor(engine.temporal_loop_dim_size)
        engine.get_prime_factors()
        found = []
        for _ in range(count):
            order = list(engine.lpfs)
            generator.shuffle(order)
            row = layer | {
                "arch": self.accelerator.name,
                "version": "pypi-3.9.1",
                "spatial_mapping": json.dumps(
                    {
                        str(dimension): {str(loop): float(units) for loop, units in own.items()}
                        for dimension, own in node.spatial_mapping.items()
                    }
                ),
                "ordering": [(str(loop), int(size)) for loop, size in order],
            }
            start = time.process_time()
            try:
                mapping = MemoryAllocator(
                    self.accelerator, node, average, order, TemporalMappingType.UNEVEN
                ).run()
            except (MemoryTooSmallException, MemoryHierarchyTooSmallException):
                found.append(row | {"cycles": None})
                continue
            result = CostModelEvaluation(
                accelerator=self.accelerator,
                layer=node,
                spatial_mapping=average,
                spatial_mapping_int=floored,
                temporal_mapping=mapping,
            )
            self.seconds += time.process_time() - start
            found.append(
                row
                | {
                    "temporal_mapping": json.dumps(
                        {
                            str(operand): [
                                [[str(loop), int(size)] for loop, size in level] for level in levels
                            ]
                            for operand, levels in mapping.mapping_dic_origin.items()
                        }
                    ),
                    "cycles": result.latency_total2,
                    "energy_pJ": result.energy_total,
                    "stall_cycle": result.stall_slack_comb,
                    "onload_cycle": result.data_onloading_cycle,
                    "offload_cycle": result.data_offloading_cycle,
                    "systolic_drain": result.systolic_drain_cycle,
                }
            )
        return found
