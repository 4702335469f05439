"""The verbs, in the order of help; this table is the only list of them.

A verb is a module with HELP (one line), `add_arguments(parser)` and `run(options) -> exit code`. Only the module of the
verb that was typed is imported: `sanderling score` never pays for torch. Optional packages are imported in `run`.
"""

VERBS = {
    "score": "sanderling.cli.score",
    "calibrate": "sanderling.cli.calibrate",
    "watch": "sanderling.cli.watch",
    "boards": "sanderling.cli.boards",
    "adapt": "sanderling.cli.adapt",
    "pretrain": "sanderling.cli.pretrain",
    "compress": "sanderling.cli.compress",
    "export": "sanderling.cli.export",
    "inspect": "sanderling.cli.inspect",
    "evaluate": "sanderling.cli.evaluate",
    "bench": "sanderling.cli.bench",
    "bundle": "sanderling.cli.bundle",
    "flash": "sanderling.cli.flash",
    "sim": "sanderling.cli.sim",
    "deploy": "sanderling.cli.deploy",
    "text": "sanderling.cli.text",
}
