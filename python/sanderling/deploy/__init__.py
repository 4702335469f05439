"""Versions onto a board with a stock system: over SSH, into the idle slot, watched, and back again by itself."""
