"""Opens a connection and leaves its handshake half done until told to go on, by packets of its own on a tun device.

Arguments: name of the device, its address, ours, port. Prints `half` when the server has answered, reads a line,
then completes the handshake with a request and prints `answered`, `reset` or `silence`.
"""

import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

device, server, client, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
SYN, RST, PSH, ACK = 2, 4, 8, 16
OUR_PORT, OUR_START = 40000, 1000

tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH", device.encode(), 0x1001))
for arguments in (["addr", "add", f"{server}/30", "dev", device], ["link", "set", device, "up"]):
    subprocess.run(["ip", *arguments], check=True)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(flags, sequence, acknowledged, data=b""):
    source, target = socket.inet_aton(client), socket.inet_aton(server)
    tcp = struct.pack("!HHIIBBHHH", OUR_PORT, port, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0) + data
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target)
    os.write(tun, head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp)


def receive(seconds):
    """The next packet for us as its flags, its sequence number and what it carries, or nothing in that time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and select.select([tun], [], [], left)[0]:
        packet = os.read(tun, 65536)
        if packet[0] >> 4 != 4 or packet[9] != 6:
            continue
        tcp = packet[(packet[0] & 15) * 4 :]
        if struct.unpack("!H", tcp[2:4])[0] == OUR_PORT:
            return tcp[13], struct.unpack("!I", tcp[4:8])[0], tcp[(tcp[12] >> 4) * 4 :]
    return None


send(SYN, OUR_START, 0)
_, theirs, _ = receive(5)
print("half", flush=True)
sys.stdin.readline()
outcome = "silence"
for _ in range(40):
    # As a client does that hears nothing: again.
    send(PSH | ACK, OUR_START + 1, theirs + 1, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    until = time.monotonic() + 0.1
    while (packet := receive(until - time.monotonic())) is not None:
        if packet[0] & RST:
            outcome = "reset"
        elif packet[2].startswith(b"HTTP/1.1 200"):
            outcome = "answered"
        if outcome != "silence":
            print(outcome, flush=True)
            sys.exit()
print(outcome, flush=True)
