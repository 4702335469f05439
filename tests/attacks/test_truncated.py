"""A bundle that ends too early, or goes on: refused, and the running version stays."""

from tests.runner.driver import assert_refused


def test_every_cut(board, unharmed) -> None:
    path = board.bundle(2)
    raw = path.read_bytes()
    cuts = [0, 1, 511, 512, 700, 1024, 1600, 2048, 4096, len(raw) // 2, len(raw) - 1024, len(raw) - 512, len(raw) - 1]
    for size in cuts:
        path.write_bytes(raw[:size])
        assert_refused(board.run("bundle", "verify", path, "--key", board.key), "expected")
        assert_refused(board.slot("install", path), "expected")
        assert board.version() == 1
    path.write_bytes(raw + b"\0")
    assert_refused(board.slot("install", path), "expected the archive's end after its parts, found more")
    unharmed()


def test_what_is_no_bundle(board, unharmed, tmp_path) -> None:
    others = {"text": b"hello\n" * 500, "zeros": bytes(10240), "program": board.runner.read_bytes()}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert_refused(board.slot("install", tmp_path / name), "expected 'manifest' as bundles have it")
    assert_refused(board.slot("install", tmp_path), "Is a directory")
    assert_refused(board.slot("install", tmp_path / "nowhere"), "No such file")
    unharmed()
