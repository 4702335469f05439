"""Payment fraud, SIMULATED: `python -m sanderling.uses.fraud -o OUT`.

No labelled real payments are at hand, so `simulate_payments` makes them (its text says how) and every table says so.
Each district's customers and each terminal are one recording (`payment_channels`), calibrated on clean days without
labels; one alarm in 20 clean days and recording is wanted. Judged by patch (8 steps of 30 minutes): a patch is
fraudulent when it holds a payment of a pattern that its view is for; patches with other fraud only, and those that
begin within 64 steps after a fraud, are left out for both methods. Beside it: the largest |z| over channels (mean and
deviation of the clean days), its threshold the quantile of the clean days that asks for the same rate of alarms.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from sanderling.evaluate.baselines import filled
from sanderling.evaluate.metrics import auc_pr, auc_roc, false_alarms, point_metrics
from sanderling.evaluate.run import MERGE_SAMPLES
from sanderling.uses import common
from sanderling.uses.payment_channels import STEP, View, views
from sanderling.uses.simulate_payments import DAY, PATTERNS, Payments, Plan, simulate

SEED = 7
WANTED = 0.05  # false alarms a day and recording
FRAUD_COLOURS = (common.LABEL, "#5b9a68", "#8f6bb1")  # of PATTERNS
HISTORY = 64  # steps that a score looks back on (docs/model.md section 6)
FOR_VIEW = {"customers": (1, 3), "terminals": (2,)}  # fraud values, 1 + index in PATTERNS
METHODS = {"detector": "score", "largest z": "z"}


def run(inputs: common.Inputs, plan: Plan | None = None) -> common.Outcome:
    payments = simulate(SEED, plan)
    both = [judged(view, payments.plan, inputs) for view in views(payments)]
    overall = [[r["view"], name, *_cells(r[key])] for r in both for name, key in METHODS.items()]
    by_pattern = [
        [PATTERNS[kind - 1], r["view"], name, found["patches"], common.share(found["recall"]), found["auc_roc"]]
        for r in both
        for kind in FOR_VIEW[r["view"]]
        for name, key in METHODS.items()
        for found in [r["patterns"][kind][key]]
    ]
    p, bad = payments.plan, payments.fraud > 0
    text = "\n".join(
        [
            f"SIMULATED: {len(payments.time):,} payments of {p.customers} customers in {p.districts} districts at "
            f"{p.terminals} terminals, {p.days} days, the first {p.clean_days} clean; {int(bad.sum())} "
            f"({100 * bad.mean():.2f} %) fraudulent, in {sum(p.incidents)} incidents. Judged by patch of 4 h; "
            f"false alarms: runs a day and recording ({WANTED} wanted), merged within one receptive field:\n",
            common.grid(
                ["SIMULATED", "method", "precision", "recall", "F1", "AUC-ROC", "AUC-PR", "false alarms"], overall
            ),
            "SIMULATED, by pattern: the pattern's patches against those without fraud.\n",
            common.grid(["SIMULATED", "seen in", "method", "patches", "recall", "AUC-ROC"], by_pattern),
        ]
    )
    kept = [{key: value for key, value in r.items() if key != "shown"} for r in both]
    return common.Outcome(text, {"simulated": True, "seed": SEED, "views": kept}, picture(both, payments))


def judged(view: View, plan: Plan, inputs: common.Inputs) -> dict[str, Any]:
    """Both methods on every recording of a view, pooled over its recordings after the clean days."""
    begin, clean = (int(days * DAY / STEP) for days in (plan.history_days, plan.clean_days))
    clean -= begin
    patch = int(str(inputs.detector().info["patch"]))
    first = clean // patch
    wanted = WANTED * STEP * patch / DAY  # alarms a patch
    found: dict[str, list[np.ndarray]] = {"score": [], "z": []}
    levels: dict[str, list[float]] = {"score": [], "z": []}
    for x in view.x[:, begin:]:
        detector = inputs.detector().fit(x[:clean], period_s=STEP, false_alarms=WANTED)
        z = by_patch(largest_z(x, clean), patch)
        found["score"].append(by_patch(detector.decision_function(x), patch)[first:])
        found["z"].append(z[first:])
        levels["score"].append(detector.threshold_)
        levels["z"].append(float(np.quantile(z[:first], 1 - wanted)))
    steps = (view.truth.shape[1] - begin) // patch * patch
    counts = view.truth[:, begin : begin + steps]
    truth = counts.reshape(len(view.x), -1, patch, counts.shape[2]).sum(axis=2)[:, first:]
    mine = (truth[..., list(FOR_VIEW[view.name])] > 0).any(axis=-1)
    other = recently((truth[..., 1:] > 0).any(axis=-1), HISTORY // patch) & ~mine
    result: dict[str, Any] = {"view": view.name, "recordings": len(view.x)}
    result["patterns"] = {kind: {} for kind in FOR_VIEW[view.name]}
    for key in METHODS.values():
        values = np.stack(found[key])
        alarms = values > np.array(levels[key])[:, None]
        result[key] = _measures(mine[~other], values[~other], alarms[~other])
        pairs = zip(mine | other, alarms, strict=True)
        runs = [false_alarms(left_out, alarm, STEP * patch, MERGE_SAMPLES // patch) for left_out, alarm in pairs]
        result[key]["false_per_day"] = common.mean(runs, "false_alarms_per_day")
        for kind, rows in result["patterns"].items():
            here = truth[..., kind] > 0
            use = here | ~(mine | other)
            rows[key] = _measures(here[use], values[use], alarms[use])
    result["shown"] = (view, truth, np.stack(found["score"]), levels["score"], begin + first * patch)
    return result


def largest_z(x: np.ndarray, clean: int) -> np.ndarray:
    """(steps,): the largest |x - mean| / deviation over the channels, both from the first `clean` steps."""
    x = filled(x).astype(np.float64)
    return (np.abs(x - x[:clean].mean(axis=0)) / np.maximum(x[:clean].std(axis=0), 1e-6)).max(axis=1)


def by_patch(values: np.ndarray, patch: int) -> np.ndarray:
    """The largest of each whole patch; 0 where nothing could be scored."""
    whole = np.nan_to_num(values[: len(values) // patch * patch])
    return whole.reshape(-1, patch).max(axis=1)


def recently(marks: np.ndarray, reach: int) -> np.ndarray:
    """(recordings, patches) bool: marked, or at most `reach` patches after a marked one."""
    padded = np.pad(marks, ((0, 0), (reach, 0)))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, reach + 1, axis=1).any(axis=-1))


def picture(both: list[dict[str, Any]], payments: Payments) -> Any:
    """The district and the terminal with most fraud: channels, score and threshold; fraud shaded, alarms on top."""
    figure = common.figure(13, 7.2)
    most = max(len(r["shown"][0].channels) for r in both)
    axes = figure.subplots(most + 1, len(both), sharex=True, squeeze=False, height_ratios=[1] * most + [1.6])
    handles: dict[str, Any] = {}
    for column, r in zip(axes.T, both, strict=True):
        view, truth, scores, levels, begin = r["shown"]
        kinds = FOR_VIEW[view.name]
        # Every pattern of the view first, then the most fraudulent patches.
        marked = truth[..., list(kinds)] > 0
        which = int(np.lexsort((marked.sum(axis=(1, 2)), marked.any(axis=1).sum(axis=1)))[-1])
        days = np.arange(view.x.shape[1]) * STEP / DAY
        late = days[begin :: (len(days) - begin) // truth.shape[1]][: truth.shape[1]]
        for axis, name, values in zip(column, view.channels, view.x[which].T, strict=False):
            axis.plot(days, values, color=common.SIGNAL, linewidth=0.5, zorder=3)
            axis.set_ylabel(name.replace("_", "\n"), fontsize=8, rotation=0, ha="right", va="center")
        for axis in column[len(view.channels) : -1]:
            axis.set_visible(False)
        common.score_panel(column[-1], late, scores[which], levels[which])
        for kind in kinds:
            for axis in column:
                common.shade(axis, truth[which][:, kind] > 0, late, FRAUD_COLOURS[kind - 1], PATTERNS[kind - 1])
        common.shade(column[-1], scores[which] > levels[which], late, common.ALARM, "alarm", ymin=0.95, alpha=1)
        column[-1].set_xlabel("days")
        column[-1].set_xlim(payments.plan.clean_days - 4, payments.plan.days)
        column[0].set_title(f"SIMULATED: {view.name[:-1]} view, recording {which}", loc="left", fontsize=10)
        found, names = column[-1].get_legend_handles_labels()
        handles |= dict(zip(names, found, strict=True))
    common.tidy(axes.ravel())
    figure.legend(handles.values(), handles, loc="outside lower right", ncols=6, fontsize=8, frameon=False)
    return figure


def _measures(truth: np.ndarray, values: np.ndarray, alarms: np.ndarray) -> dict[str, Any]:
    points = point_metrics(truth.astype(np.uint8), alarms)
    areas = {"auc_roc": auc_roc(truth.astype(np.uint8), values), "auc_pr": auc_pr(truth.astype(np.uint8), values)}
    return {"patches": int(truth.sum()), **{key: points[key] for key in ("precision", "recall", "f1")}, **areas}


def _cells(r: dict[str, Any]) -> list[object]:
    return [*(r[key] for key in ("precision", "recall", "f1", "auc_roc", "auc_pr")), f"{r['false_per_day']:.3f}"]


if __name__ == "__main__":
    sys.exit(common.main("fraud", run, __doc__))
