"""One side of a handshake of the device protocol by python3-dissononce, spoken in lines of hex.

argv: initiator | responder, pair | known, prologue, secret of its static key, psk or the initiator's remote key.
Handshake messages go both ways in turn, without the prologue. Then it writes "hash <hex>" and answers each record with
one whose plaintext is the one it read, backwards.
"""
import sys

from dissononce.cipher.chachapoly import ChaChaPolyCipher
from dissononce.dh.x25519.private import PrivateKey
from dissononce.dh.x25519.public import PublicKey
from dissononce.dh.x25519.x25519 import X25519DH
from dissononce.hash.sha256 import SHA256Hash
from dissononce.processing.handshakepatterns.interactive.IK import IKHandshakePattern
from dissononce.processing.handshakepatterns.interactive.XX import XXHandshakePattern
from dissononce.processing.impl.cipherstate import CipherState
from dissononce.processing.impl.handshakestate import HandshakeState
from dissononce.processing.impl.symmetricstate import SymmetricState
from dissononce.processing.modifiers.psk import PSKPatternModifier

role, purpose, prologue, secret, extra = sys.argv[1:6]
is_initiator, is_known = role == "initiator", purpose == "known"
dh = X25519DH()
symmetric = SymmetricState(CipherState(ChaChaPolyCipher()), SHA256Hash())
state = HandshakeState(symmetric, dh)
state.initialize(
    handshake_pattern=IKHandshakePattern() if is_known else PSKPatternModifier(0).modify(XXHandshakePattern()),
    initiator=is_initiator,
    prologue=bytes.fromhex(prologue),
    s=dh.generate_keypair(PrivateKey(bytes.fromhex(secret))),
    rs=PublicKey(bytes.fromhex(extra)) if is_known and is_initiator else None,
    psks=None if is_known else [bytes.fromhex(extra)],
)


def say(data):
    print(bytes(data).hex(), flush=True)


def hear():
    return bytes.fromhex(sys.stdin.readline().strip())


ciphers, is_ours = None, is_initiator
while ciphers is None:
    out = bytearray()
    if is_ours:
        ciphers = state.write_message(b"", out)
        say(out)
    else:
        ciphers = state.read_message(hear(), out)
    is_ours = not is_ours
print("hash", symmetric.get_handshake_hash().hex(), flush=True)
sending, receiving = ciphers if is_initiator else reversed(ciphers)
for line in sys.stdin:
    plain = receiving.decrypt_with_ad(b"", bytes.fromhex(line.strip()))
    say(sending.encrypt_with_ad(b"", plain[::-1]))
