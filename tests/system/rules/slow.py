"""Mono-Forward that takes its time, so that a test can interrupt it."""

import time

from bpfree.rules.mono_forward import MonoForward


class Slow(MonoForward):
    def on_step(self, owner):
        time.sleep(0.01)
