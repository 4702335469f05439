"""The detector at work on real data: one short runnable module each, described in docs/uses.md.

    python -m sanderling.uses.bearings [--data FOLDER] [--model FILE] -o OUT

Each scores its recordings with the shipped model, prints a Markdown table and writes it, its figures as JSON and a
picture to OUT; `sanderling.uses.all` runs every one. Evaluation only: nothing here chooses anything.
"""
