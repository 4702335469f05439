"""From a recording to scores: readers, the detector and its stream over the C++ core."""
