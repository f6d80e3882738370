"""Conditions of a space, solved together: what is sampled or varied always satisfies all of them.

`rules` collects what a graph requires, `solving` splits it into components and picks a method for each: `grid`,
`elimination` or `relinking`, which rests on `violation` and `proof`.
"""

from hannah_hw.spaces.constraints.rules import Rule, rules_of
from hannah_hw.spaces.constraints.solving import Constraints

__all__ = ["Constraints", "Rule", "rules_of"]
