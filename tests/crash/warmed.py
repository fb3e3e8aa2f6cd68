"""What is loaded once for all victims, and inherited by each: the kernel of tracing, compiled."""

from __future__ import annotations

from kangma.tracing.kernel import warm

warm()
