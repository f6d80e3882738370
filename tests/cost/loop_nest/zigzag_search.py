"""The mapping of least latency that zigzag-dse finds, by its own search."""

from zigzag.cost_model.cost_model import CostModelEvaluation
from zigzag.mapping.temporal_mapping import TemporalMappingType
from zigzag.opt.loma.engine import LomaEngine, NoValidLoopOrderingFoundException


def best(peer, layer, unrolling, limit):
    """Cycles and energy of the best of all orderings; None where none fits.

    Args:
        peer: A `zigzag_run.Peer`.
        layer: Sizes and strides.
        unrolling: Array dimension -> loop -> units.
        limit: Most loop factors.
    """
    node, average, floored = peer.node(layer, unrolling)
    engine = LomaEngine(
        accelerator=peer.accelerator,
        layer=node,
        spatial_mapping=average,
        mapping_type=TemporalMappingType.UNEVEN,
        loma_lpf_limit=limit,
    )
    found = []
    try:
        for mapping in engine.run():
            costs = CostModelEvaluation(
                accelerator=peer.accelerator,
                layer=node,
                spatial_mapping=average,
                spatial_mapping_int=floored,
                temporal_mapping=mapping,
            )
            found.append((float(costs.latency_total2), float(costs.energy_total)))
    except NoValidLoopOrderingFoundException:
        return None
    return min(found)
