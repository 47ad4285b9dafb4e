"""Peers: Debian's Postfix, plain and with OpenDKIM, in a private configuration and queue directory.

Postfix's own defaults, plus where to listen and where to deliver: dst.example by a route, all others by
MX at a resolver on port 53 of a loopback address of its own, because resolv.conf knows no other port. A
second smtpd, as Debian's `submission`, takes mail over STARTTLS only, with a certificate of the kind that
ours has, and AUTH by Cyrus SASL from a sasldb; without Debian's sasl2-bin it asks for no AUTH. OpenDKIM signs rsa-sha256 with a
2048-bit key, relaxed/relaxed, over a unix socket: over TCP, Nagle's algorithm against delayed ACKs costs
87 ms a message, which would make it an unfair peer. Needs root, as Postfix does. Nothing outside the
work directory is written, except by `install()`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization

from appliance.lab.certificate import self_signed
from mta.signing.keys import make_rsa
from relay import resolver
from relay.base import (
    SENDER,
    SENDING_DOMAIN,
    BenchError,
    Door,
    free_port,
    program,
    tail,
    wait_for_port,
)

PACKAGES: Final = ("postfix", "opendkim", "sasl2-bin", "libsasl2-modules")
_SERVICES: Final = PACKAGES[:2]
SELECTOR: Final = "peer"
_ETC: Final = Path("/etc/postfix")
_KEPT: Final = ("dynamicmaps.cf", "postfix-files", "post-install", "postfix-script")
_CHROOT: Final = ("hosts", "resolv.conf", "services", "localtime", "nsswitch.conf", "host.conf")
_LOGIN: Final = ("app", "a password of fair length")
_QUEUES: Final = ("maildrop", "incoming", "active", "deferred")

_MAIN_CF: Final = """\
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
append_dot_mydomain = no
readme_directory = no
compatibility_level = 3.6
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
myhostname = relay.bench.invalid
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
config_directory = {etc}
queue_directory = {spool}
data_directory = {data}
transport_maps = inline:{{ dst.example=smtp:[127.0.0.1]:{sink_port} }}
smtp_tcp_port = {sink_port}
smtpd_tls_cert_file = {base}/tls.pem
smtpd_tls_key_file = {base}/tls.pem
maillog_file_prefixes = {base}
maillog_file = {log}
"""
_MILTER: Final = "smtpd_milters = unix:opendkim/socket\nmilter_default_action = tempfail\n"
_SUBMISSION: Final = """
127.0.0.1:{port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
"""
_WITH_AUTH: Final = """\
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
"""
_SASL_CONF: Final = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN
sasldb_path: {database}
"""
_OPENDKIM_CONF: Final = """\
Syslog yes
SyslogSuccess yes
Canonicalization relaxed/relaxed
OversignHeaders From
Domain {domain}
Selector {selector}
KeyFile {key}
RequireSafeKeys no
SignatureAlgorithm rsa-sha256
Mode s
UserID opendkim
UMask 000
Socket local:{socket}
InternalHosts 127.0.0.1
"""


def missing() -> str:
    """Why the peers cannot be measured here; empty when they can."""
    if os.geteuid() != 0:
        return "Postfix needs root"
    for name in ("postfix", "opendkim"):
        try:
            program(name)
        except BenchError as error:
            return str(error)
    return ""


def has_login() -> bool:
    """Whether Postfix can ask for AUTH."""
    try:
        program("saslpasswd2")
    except BenchError:
        return False
    return True


def install() -> None:
    """Debian's packages; their services are stopped and do not start at boot. Raises BenchError."""
    if shutil.which("apt-get") is None:
        raise BenchError(f"install {' and '.join(PACKAGES)} by hand: this system has no apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    answer = b"postfix postfix/main_mailer_type select No configuration\n"
    with contextlib.suppress(OSError):  # without debconf-utils Debian's default answer stands
        subprocess.run(["debconf-set-selections"], input=answer, check=False)
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=600)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr[-500:].decode('utf-8', 'replace')}")
    has_systemd = Path("/run/systemd/system").is_dir()
    for name in _SERVICES:
        if has_systemd:
            subprocess.run(["systemctl", "disable", "--now", name], check=False)
        else:
            subprocess.run(["service", name, "stop"], check=False)
            subprocess.run(["update-rc.d", name, "disable"], check=False)


class Postfix:
    """One private Postfix, with an OpenDKIM of its own if it signs."""

    aftercare = 0.3

    def __init__(self, work: Path, *, signs: bool, dns_delay: float = 0.0) -> None:
        self.name = "postfix+opendkim" if signs else "postfix"
        self.port, self.sink_port = free_port(), free_port()
        login = _LOGIN if has_login() else ("", "")
        self.door = Door(port=free_port(), people=((*login, SENDER),))
        self.dns: dict[str, str] = {}
        self._dns_place, self._dns_delay = ("127.53.0.2" if signs else "127.53.0.1", 53), dns_delay
        self._resolver: subprocess.Popen[bytes] | None = None
        self._signs, self._base = signs, work / self.name
        self._etc, self._spool = self._base / "etc", self._base / "spool"
        self._log = self._base / "mail.log"
        self._master = 0
        self._milter: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the configuration, start the resolver, OpenDKIM, then Postfix."""
        self._configure()
        self._resolver = resolver.start({}, self._dns_place, self._dns_delay)
        if self._signs:
            self._start_milter()
        self._postfix("start")
        wait_for_port(self.port, None, self._log)
        wait_for_port(self.door.port, None, self._log)
        self._master = int((self._spool / "pid/master.pid").read_text())

    def stop(self) -> None:
        """All of them."""
        if self._etc.is_dir():
            self._postfix("stop")
        if self._milter is not None:
            self._milter.terminate()
            self._milter.wait()
        if self._resolver is not None:
            resolver.stop(self._resolver)

    def roots(self) -> tuple[int, ...]:
        """Postfix's master, and OpenDKIM."""
        return tuple(self.parts().values())

    def parts(self) -> dict[str, int]:
        """The two programs."""
        milter = {"opendkim": self._milter.pid} if self._milter else {}
        return {"postfix": self._master, **milter}

    def waiting(self) -> int:
        """Files in the queue."""
        return sum(len(files) for name in _QUEUES for _, _, files in os.walk(self._spool / name))

    def _postfix(self, verb: str) -> None:
        done = subprocess.run(
            [program("postfix"), "-c", self._etc, verb], capture_output=True, check=False
        )
        if verb == "start" and done.returncode:
            raise BenchError(f"postfix start: {done.stderr.decode('utf-8', 'replace')}")

    def _configure(self) -> None:
        data = self._base / "data"
        for directory in (self._etc, self._spool / "etc", data):
            directory.mkdir(parents=True)
        shutil.chown(data, "postfix")
        for name in _KEPT:
            shutil.copy(_ETC / name, self._etc)
        for name in ("dynamicmaps.cf.d", "postfix-files.d"):
            if (_ETC / name).is_dir():
                shutil.copytree(_ETC / name, self._etc / name)
        for name in _CHROOT:  # as Debian's start script does
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self._spool / "etc")
        (self._spool / "etc/resolv.conf").write_text(f"nameserver {self._dns_place[0]}\n")
        self._make_certificate()
        main = _MAIN_CF.format(
            etc=self._etc,
            spool=self._spool,
            data=data,
            sink_port=self.sink_port,
            base=self._base,
            log=self._log,
        )
        (self._etc / "main.cf").write_text(main + (_MILTER if self._signs else ""))
        master = Path("/usr/share/postfix/master.cf.dist").read_text()
        listens = re.sub(r"(?m)^smtp(\s+inet\s)", f"127.0.0.1:{self.port}\\1", master, count=1)
        submission = _SUBMISSION.format(port=self.door.port)
        if self.door.people[0][0]:
            self._make_login()
            submission += _WITH_AUTH
        (self._etc / "master.cf").write_text(listens + submission)

    def _make_certificate(self) -> None:
        file = self._base / "tls.pem"
        file.touch(mode=0o600)
        file.write_bytes(b"".join(reversed(self_signed(["relay.bench.invalid"]))))

    def _make_login(self) -> None:
        """A sasldb; the realm is what Postfix takes for its own host name."""
        database, folder = self._base / "sasldb2", self._etc / "sasl"
        folder.mkdir()
        (folder / "smtpd.conf").write_text(_SASL_CONF.format(database=database))
        user, password, _ = self.door.people[0]
        command = [program("saslpasswd2"), "-p", "-c", "-u", "relay.bench.invalid"]
        done = subprocess.run(
            [*command, "-f", database, user],
            input=password.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"saslpasswd2: {done.stderr.decode('utf-8', 'replace')}")
        shutil.chown(database, "postfix")

    def _start_milter(self) -> None:
        home = self._spool / "opendkim"
        home.mkdir()
        shutil.chown(home, "opendkim", "postfix")
        socket, log = home / "socket", self._base / "opendkim.log"
        key, config = self._make_key(), self._base / "opendkim.conf"
        config.write_text(
            _OPENDKIM_CONF.format(domain=SENDING_DOMAIN, selector=SELECTOR, key=key, socket=socket)
        )
        with log.open("wb") as out:
            command = [program("opendkim"), "-f", "-x", config]
            self._milter = subprocess.Popen(command, stdout=out, stderr=out)
        end = time.monotonic() + 10
        while not socket.exists():
            if self._milter.poll() is not None or time.monotonic() > end:
                raise BenchError(f"opendkim did not start: {tail(log)}")
            time.sleep(0.05)

    def _make_key(self) -> Path:
        key, file = make_rsa(), self._base / "dkim.key"
        file.touch(mode=0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        shutil.chown(file, "opendkim")
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        value = "".join(public.decode().splitlines()[1:-1])
        self.dns[f"{SELECTOR}._domainkey.{SENDING_DOMAIN}"] = f"v=DKIM1; k=rsa; p={value}"
        return file
