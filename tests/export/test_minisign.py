"""Keys and signatures: minisign's own files are read and its verdict is ours; altered ones are refused."""

import shutil
import subprocess

import pytest
from sanderling.export import minisign

from sanderling.errors import SignatureError, StorageError

pytest.importorskip("nacl", reason="PyNaCl is not installed; pip install 'sanderling[sign]'")

DATA = b"some bytes\n" * 1000


@pytest.fixture(scope="module")
def key() -> minisign.SecretKey:
    return minisign.generate()


@pytest.fixture
def tool() -> str:
    found = shutil.which("minisign")
    if found is None:
        pytest.skip("minisign is not installed")
    return found


def test_a_signature_holds_for_its_bytes_and_key_alone(key) -> None:
    text = minisign.sign(DATA, key, "a comment")
    assert minisign.verify(DATA, text, key.public) == "a comment"
    assert minisign.sign(DATA, key, "a comment") == text
    with pytest.raises(SignatureError, match="found altered ones"):
        minisign.verify(DATA + b"x", text, key.public)
    with pytest.raises(SignatureError, match="found one by"):
        minisign.verify(DATA, text, minisign.generate().public)
    stranger = minisign.PublicKey(key.key_id, minisign.generate().public.key)
    with pytest.raises(SignatureError, match="found altered ones"):
        minisign.verify(DATA, text, stranger)
    with pytest.raises(SignatureError, match="found altered ones"):
        minisign.verify(DATA, text.replace("a comment", "A comment"), key.public)


@pytest.mark.parametrize("password", ["", "correct horse"])
def test_keys_come_back_from_their_files(key, password, tmp_path, monkeypatch) -> None:
    # The file says how hard its password is to guess: 16 MiB here instead of 1 GiB.
    monkeypatch.setattr(minisign, "OPSLIMIT", 524288)
    monkeypatch.setattr(minisign, "MEMLIMIT", 16777216)
    secret, public = tmp_path / "a.key", tmp_path / "a.pub"
    minisign.write_secret(secret, key, password)
    minisign.write_public(public, key.public)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert minisign.read_secret(secret, password) == key
    assert minisign.read_public(public) == key.public
    with pytest.raises(StorageError, match="never overwritten"):
        minisign.write_secret(secret, key, password)
    if password:
        with pytest.raises(SignatureError, match="password, found none"):
            minisign.read_secret(secret)
        with pytest.raises(SignatureError, match="wrong password"):
            minisign.read_secret(secret, password + "!")


def test_minisign_accepts_ours(key, tool, tmp_path) -> None:
    (tmp_path / "f").write_bytes(DATA)
    (tmp_path / "f.minisig").write_text(minisign.sign(DATA, key, "a comment"))
    minisign.write_public(tmp_path / "a.pub", key.public)
    minisign.write_secret(tmp_path / "a.key", key)
    done = subprocess.run([tool, "-Vm", "f", "-p", "a.pub"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The same key signs the same bytes there: only the untrusted comment is each tool's own.
    command = [tool, "-Sm", "f", "-s", "a.key", "-t", "a comment", "-x", "g.minisig"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    ours, theirs = ((tmp_path / name).read_text().split("\n")[1:] for name in ("f.minisig", "g.minisig"))
    assert ours == theirs


def test_its_encrypted_key_is_ours(tool, tmp_path) -> None:
    done = subprocess.run(
        [tool, "-G", "-p", "a.pub", "-s", "a.key"], cwd=tmp_path, capture_output=True, text=True, input="pw\npw\n"
    )
    assert done.returncode == 0, done.stderr
    secret = minisign.read_secret(tmp_path / "a.key", "pw")
    assert secret.public == minisign.read_public(tmp_path / "a.pub")


def damaged(text: str) -> dict[str, bytes]:
    lines = text.split("\n")
    return {
        "empty": b"",
        "one line": lines[0].encode(),
        "no base64": "\n".join([lines[0], "!" + lines[1][1:], *lines[2:]]).encode(),
        "short": "\n".join([lines[0], lines[1][:-8], *lines[2:]]).encode(),
        "no text": b"\xff\xfe" + text.encode(),
        "huge": text.encode() + b"x" * 100000,
    }


@pytest.mark.parametrize("what", list(damaged("a\nb\nc\nd\n")))
def test_damaged_files_are_refused(what, key, tmp_path) -> None:
    public, secret = tmp_path / "a.pub", tmp_path / "a.key"
    minisign.write_public(public, key.public)
    minisign.write_secret(secret, key)
    for path, read in ((public, minisign.read_public), (secret, minisign.read_secret)):
        path.write_bytes(damaged(path.read_text())[what])
        with pytest.raises(SignatureError):
            read(path)
    signature = damaged(minisign.sign(DATA, key, "a comment"))[what].decode("utf-8", "replace")
    with pytest.raises(SignatureError):
        minisign.verify(DATA, signature if what != "no text" else "\ufffd", key.public)


def test_every_flipped_bit_of_a_secret_key_is_noticed(key, tmp_path) -> None:
    import base64

    path = tmp_path / "a.key"
    minisign.write_secret(path, key)
    head, body, *_ = path.read_text().split("\n")
    raw = base64.b64decode(body)
    for at in (0, 2, 4, 60, 100, 157):
        changed = bytearray(raw)
        changed[at] ^= 1
        path.write_text(f"{head}\n{base64.b64encode(bytes(changed)).decode()}\n")
        with pytest.raises(SignatureError):
            minisign.read_secret(path)


def test_a_missing_key_is_named(tmp_path) -> None:
    with pytest.raises(SignatureError, match="nowhere.pub"):
        minisign.read_public(tmp_path / "nowhere.pub")


@pytest.mark.parametrize("comment", ["two\nlines", "x" * 1025])
def test_comments_are_one_line(comment, key) -> None:
    with pytest.raises(SignatureError, match="one line"):
        minisign.sign(DATA, key, comment)
