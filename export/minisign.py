"""Signatures and keys in minisign's format (https://jedisct1.github.io/minisign/): Ed25519 over BLAKE2b-512.

Key files and signatures are interchangeable with the `minisign` tool; a signature of the same bytes by the same key is
the same bytes. Ed25519 is libsodium's, by PyNaCl (extra `sign`); the format's own layout is below.

    public key   base64(alg[2] = "Ed" | key id[8] | public key[32])
    secret key   base64("Ed" | kdf[2] | "B2" | salt[32] | opslimit u64 | memlimit u64 |
                        xored(key id[8] | secret key[64] | checksum[32]))
    signature    base64(alg[2] = "ED" | key id[8] | signature[64]) of BLAKE2b-512(file), then
                 base64(global signature[64]) of signature | trusted comment

kdf is "Sc" (scrypt, a password) or two zero bytes (no password); the checksum is BLAKE2b-256 of "Ed" | key id |
secret key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanderling.errors import SignatureError, StorageError
from sanderling.extras import require

ALGORITHM, PREHASHED, SCRYPT, PLAIN, BLAKE2B = b"Ed", b"ED", b"Sc", b"\0\0", b"B2"
UNTRUSTED, TRUSTED = "untrusted comment: ", "trusted comment: "
# libsodium's crypto_pwhash_scryptsalsa208sha256_*_SENSITIVE, as minisign takes them: N 2^20, r 8, p 1 (1 GiB).
OPSLIMIT, MEMLIMIT = 33554432, 1073741824
MAX_FILE = 16384  # of a key or signature file


@dataclass(frozen=True)
class PublicKey:
    """key_id: 8 bytes that name the pair. key: 32 bytes."""

    key_id: bytes
    key: bytes

    @property
    def name(self) -> str:
        """The id as minisign prints it."""
        return self.key_id[::-1].hex().upper()


@dataclass(frozen=True)
class SecretKey:
    """key_id: 8 bytes. key: 64 bytes, seed and public key."""

    key_id: bytes
    key: bytes

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key_id, self.key[32:])


def generate() -> SecretKey:
    """A new pair from the system's random source."""
    signing = _nacl("signing").SigningKey.generate()
    return SecretKey(os.urandom(8), bytes(signing) + bytes(signing.verify_key))


def write_public(path: Path, key: PublicKey) -> None:
    """Writes a public key's file. Raises StorageError."""
    body = base64.b64encode(ALGORITHM + key.key_id + key.key).decode()
    _write(path, f"{UNTRUSTED}minisign public key {key.name}\n{body}\n", 0o644)


def write_secret(path: Path, key: SecretKey, password: str = "") -> None:
    """Writes a secret key's file, readable by its owner alone, encrypted when there is a password (1 GiB, seconds)."""
    plain = key.key_id + key.key + _checksum(key)
    salt, kdf, limits = (os.urandom(32), SCRYPT, (OPSLIMIT, MEMLIMIT)) if password else (bytes(32), PLAIN, (0, 0))
    if password:
        plain = _xor(plain, _stream(password, salt, *limits))
    body = base64.b64encode(ALGORITHM + kdf + BLAKE2B + salt + struct.pack("<QQ", *limits) + plain).decode()
    kind = "encrypted" if password else "unencrypted"
    _write(path, f"{UNTRUSTED}minisign {kind} secret key\n{body}\n", 0o600)


def read_public(path: Path) -> PublicKey:
    """A public key's file. Raises SignatureError."""
    raw = _body(_lines(path, "a minisign public key")[1], 42, f"{path}: a minisign public key")
    if raw[:2] != ALGORITHM:
        raise SignatureError(f"{path}: expected an Ed25519 key, found the algorithm {raw[:2]!r}; use minisign's keys")
    return PublicKey(raw[2:10], raw[10:])


def read_secret(path: Path, password: str = "") -> SecretKey:
    """A secret key's file. Raises SignatureError, also for a wrong password."""
    what = f"{path}: a minisign secret key"
    raw = _body(_lines(path, "a minisign secret key")[1], 158, what)
    kdf, plain = raw[2:4], raw[54:]
    if raw[:2] != ALGORITHM or kdf not in {SCRYPT, PLAIN} or raw[4:6] != BLAKE2B:
        raise SignatureError(f"expected {what}, found another algorithm; make one: sanderling bundle keygen")
    if kdf == SCRYPT:
        if not password:
            raise SignatureError(f"{path}: expected the key's password, found none; set SANDERLING_KEY_PASSWORD")
        plain = _xor(plain, _stream(password, raw[6:38], *struct.unpack("<QQ", raw[38:54])))
    key = SecretKey(plain[:8], plain[8:72])
    if plain[72:] != _checksum(key):
        wrong = "wrong password or damaged file" if kdf == SCRYPT else "damaged file"
        raise SignatureError(f"{path}: expected the key's checksum to fit, found another ({wrong})")
    return key


def sign(data: bytes, key: SecretKey, trusted_comment: str = "") -> str:
    """The text of a `.minisig` file for `data`; the same bytes for the same arguments.

    Raises SignatureError for a comment with a line break or beyond 1024 characters.
    """
    if any(c in trusted_comment for c in "\r\n") or len(trusted_comment) > 1024:
        raise SignatureError("expected a trusted comment of one line and at most 1024 characters, found another")
    signing = _nacl("signing").SigningKey(key.key[:32])
    signature = signing.sign(hashlib.blake2b(data).digest()).signature
    whole = signing.sign(signature + trusted_comment.encode()).signature
    first = base64.b64encode(PREHASHED + key.key_id + signature).decode()
    comment = f"{UNTRUSTED}signature from sanderling, key {key.public.name}"
    return f"{comment}\n{first}\n{TRUSTED}{trusted_comment}\n{base64.b64encode(whole).decode()}\n"


def verify(data: bytes, signature: str, key: PublicKey, what: str = "the file") -> str:
    """The trusted comment, when `signature` (a `.minisig` file's text) is `key`'s of `data`. Raises SignatureError."""
    lines = signature.split("\n")
    if len(signature) > MAX_FILE or len(lines) < 4 or not lines[2].startswith(TRUSTED):
        raise SignatureError(f"{what}: expected the four lines of a minisign signature, found another text")
    raw = _body(lines[1], 74, f"{what}: a minisign signature")
    if raw[:2] != PREHASHED:
        raise SignatureError(f"{what}: expected a prehashed Ed25519 signature, found {raw[:2]!r}; sign it again")
    if raw[2:10] != key.key_id:
        found = raw[2:10][::-1].hex().upper()
        raise SignatureError(f"{what}: expected a signature by key {key.name}, found one by {found}; use its key")
    comment = lines[2][len(TRUSTED) :]
    whole = _body(lines[3], 64, f"{what}: a minisign signature")
    nacl = _nacl("signing")
    bad = _nacl("exceptions").BadSignatureError
    try:
        nacl.VerifyKey(key.key).verify(hashlib.blake2b(data).digest(), raw[10:])
        nacl.VerifyKey(key.key).verify(raw[10:] + comment.encode(), whole)
    except bad as error:
        raise SignatureError(
            f"{what}: expected bytes signed by key {key.name}, found altered ones; fetch the file again"
        ) from error
    return comment


def _nacl(part: str) -> Any:
    return require(f"nacl.{part}", "sign")


def _checksum(key: SecretKey) -> bytes:
    return hashlib.blake2b(ALGORITHM + key.key_id + key.key, digest_size=32).digest()


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _stream(password: str, salt: bytes, opslimit: int, memlimit: int) -> bytes:
    """104 bytes of scrypt, its parameters picked from the limits as libsodium does."""
    if not (32768 <= opslimit <= OPSLIMIT and 1 << 20 <= memlimit <= MEMLIMIT):
        raise SignatureError("expected scrypt limits up to 1 GiB in the secret key, found others; the file is damaged")
    r = 8
    if opslimit < memlimit // 32:
        p, log_n = 1, _log2(opslimit // (r * 4))
    else:
        log_n = _log2(memlimit // (r * 128))
        p = min(opslimit // 4 // (1 << log_n), 0x3FFFFFFF) // r
    n = 1 << log_n
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p + 2), dklen=104)


def _log2(most: int) -> int:
    """libsodium's pickparams: the smallest log_n in 1..62 with 2^log_n > most / 2."""
    return next(k for k in range(1, 63) if 1 << k > most // 2)


def _lines(path: Path, what: str) -> list[str]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1).decode("utf-8")
    except OSError as error:
        raise SignatureError(f"{path}: expected {what}, found: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise SignatureError(f"{path}: expected {what}, found bytes that are no text") from error
    lines = text.split("\n")
    if len(text) > MAX_FILE or len(lines) < 2 or not lines[0].startswith(UNTRUSTED):
        raise SignatureError(f"{path}: expected {what} (two lines), found another text")
    return lines


def _body(line: str, size: int, what: str) -> bytes:
    try:
        raw = base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(f"expected {what}, found a line that is no base64") from error
    if len(raw) != size:
        raise SignatureError(f"expected {what} of {size} bytes, found {len(raw)}; the file is damaged")
    return raw


def _write(path: Path, text: str, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(fd, "w") as file:
            file.write(text)
    except FileExistsError as error:
        message = f"{path}: expected no file, found one; keys are never overwritten, choose another name"
        raise StorageError(message) from error
    except OSError as error:
        message = f"expected to write {path}, found: {error.strerror}; check the folder and its rights"
        raise StorageError(message) from error
