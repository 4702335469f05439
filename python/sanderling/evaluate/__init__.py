"""Detection quality on labelled recordings: metrics, readers, baselines, and the loop over many series."""
