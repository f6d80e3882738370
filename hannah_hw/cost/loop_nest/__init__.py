"""Model kind ``loop_nest``: memory hierarchies with ports, and the cost of loop orderings on them."""
