"""Signals: cleaning and scaling, the wavelet, generated normal signals and injected anomalies."""
