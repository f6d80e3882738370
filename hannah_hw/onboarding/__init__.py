"""The first minutes: a configuration for the user's own data and chip."""

from hannah_hw.onboarding.chip import Chip, open_chip
from hannah_hw.onboarding.draft import Draft, draft_config
from hannah_hw.onboarding.text import configuration_text, next_commands

__all__ = ["Chip", "Draft", "configuration_text", "draft_config", "next_commands", "open_chip"]
