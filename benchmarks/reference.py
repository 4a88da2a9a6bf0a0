"""The reference implementation, which lies with the tests that check it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))

from reference_models import ReferenceModel

__all__ = ["ReferenceModel"]
