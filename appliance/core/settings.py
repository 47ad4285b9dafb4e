"""Settings: every option with its name, type, default, bounds and one sentence, in one place.

`settings_file.load()` reads a TOML file, then the environment (`PILLARBOX_DELIVERY__REMOTE_PORT=2525`
sets `delivery.remote_port`), and refuses what it does not know with file, line and what is allowed.
`settings_rules.py` holds what a type cannot say. `config/pillarbox.toml` is generated from here by
`settings_reference.py` and a test holds the two together. An option whose Meta carries `extra=SECRET`
(or SECRET_IN_URL) is never shown.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET: Final = {"secret": "whole"}
SECRET_IN_URL: Final = {"secret": "url"}


def environment() -> Mapping[str, str]:
    """The environment of this process; everybody else is given one."""
    return os.environ


# A table: one option a line, name first.
# fmt: off
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0.05, le=604_800)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
PerSecond = Annotated[float, Meta(ge=0.01, le=1_000_000)]
AtOnce = Annotated[int, Meta(ge=1, le=1_000_000)]
Name = Annotated[str, Meta(max_length=255)]


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file; unknown keys are errors."""


class Box(_Section, frozen=True, kw_only=True):
    """The box itself."""

    hostname: Annotated[Name, Meta(description="Name the box goes by: HELO, greeting, Message-ID, its own bounce domain. Must have matching forward and reverse DNS.")] = "localhost.localdomain"
    postmaster: Annotated[Name, Meta(description="Where mail to postmaster@ and abuse@ of the box's names is sent on to; empty keeps it in the inbound folder.")] = ""
    bounce_domain: Annotated[Name, Meta(description="Domain of the box's own return paths; empty = bounces.<hostname>.")] = ""


class Listener(_Section, frozen=True, kw_only=True):
    """Where a listener accepts connections."""

    address: Annotated[str, Meta(description="IP address to listen on; :: takes IPv4 too; empty switches the listener off.")] = "::"
    port: Annotated[Port, Meta(description="TCP port.")] = 0
    tls: Annotated[str, Meta(pattern="^(none|starttls|implicit)$", description="none, starttls (offered; AUTH only under TLS) or implicit (TLS from the first byte).")] = "starttls"


class Listeners(_Section, frozen=True, kw_only=True):
    """The listening sockets, opened once by the supervisor and inherited by the processes."""

    submission: Listener = field(default_factory=lambda: Listener(port=587))
    submissions: Listener = field(default_factory=lambda: Listener(port=465, tls="implicit"))
    inbound: Listener = field(default_factory=lambda: Listener(port=25))
    web: Listener = field(default_factory=lambda: Listener(address="127.0.0.1", port=8025, tls="none"))


class Tls(_Section, frozen=True, kw_only=True):
    """The certificate of the listeners."""

    certificate: Annotated[str, Meta(description="PEM file with the certificate chain; empty = self-signed, made at init.")] = ""
    private_key: Annotated[str, Meta(description="PEM file with its private key.")] = ""


class TrustedNetwork(_Section, frozen=True, kw_only=True):
    """A network whose clients may relay for a tenant without AUTH."""

    network: Annotated[str, Meta(description="CIDR network, such as 10.1.0.0/16.")]
    tenant: Annotated[Name, Meta(description="Name of the tenant they send for.")]


class Submission(_Section, frozen=True, kw_only=True):
    """Limits of the submission listeners."""

    max_message_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="Largest message, in octets (offered as SIZE).")] = 50 * 1024 * 1024
    max_recipients: Annotated[int, Meta(ge=100, le=100_000, description="Recipients a message.")] = 1000
    max_messages_per_connection: Annotated[Positive, Meta(description="Messages a connection, then 421.")] = 10_000
    max_sessions: Annotated[Positive, Meta(description="Open sessions of one process, then 421; less where its limit of open files is lower. From four fifths on, clients may be silent for 10 seconds only.")] = 10_000
    max_sessions_per_address: Annotated[Positive, Meta(description="Open sessions of one client address (IPv6: /64) in one process, then 421.")] = 500
    max_barren_connections_per_minute: Annotated[Positive, Meta(description="Connections a minute of one client address (IPv6: /64) to one process that neither log in nor hand over a message, then 421.")] = 3000
    max_commands_per_minute: Annotated[Positive, Meta(description="Commands a minute of one session, then 421.")] = 60_000
    idle_timeout: Annotated[Seconds, Meta(description="Seconds a client may be silent (RFC 5321 4.5.3.2.7 asks for 300).")] = 300
    session_timeout: Annotated[Seconds, Meta(description="Seconds one session may last.")] = 3600
    min_rate: Annotated[Positive, Meta(description="Octets a second that a message comes with on average once idle_timeout has passed; slower ones are cut (slow loris).")] = 1000
    memory_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40, description="Octets of messages being received at once by one process; above that clients get 452. Less while memory is short.")] = 512 * 1024 * 1024
    login_failures: Annotated[Positive, Meta(description="Failed logins of one address or user in ten minutes before it is refused for a time.")] = 10
    login_delay: Annotated[float, Meta(ge=0, le=60, description="Seconds added to the answer of each failed login, times the failures so far.")] = 1.0
    trusted_networks: Annotated[tuple[TrustedNetwork, ...], Meta(description="Networks that may relay without AUTH; none by default.")] = ()
    proxy_networks: Annotated[tuple[str, ...], Meta(description="Addresses of proxies that speak the PROXY protocol; refused from all others.")] = ()


class Inbound(_Section, frozen=True, kw_only=True):
    """Limits of the inbound listener (bounces, complaints, postmaster)."""

    max_message_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="Largest notice, in octets.")] = 20 * 1024 * 1024
    max_sessions: Annotated[Positive, Meta(description="Open sessions, then 421.")] = 1000
    max_sessions_per_address: Annotated[Positive, Meta(description="Open sessions of one address (IPv6: /64), then 421.")] = 50
    max_barren_connections_per_minute: Annotated[Positive, Meta(description="Connections a minute of one address (IPv6: /64) that bring no notice, then 421.")] = 600
    max_messages_per_minute_per_address: Annotated[Positive, Meta(description="Notices a minute from one address, then 452.")] = 600
    keep_days: Annotated[Positive, Meta(description="Days a read notice is kept.")] = 7
    normalise_line_ends: Annotated[bool, Meta(description="Take notices with bare CR or LF and make CRLF of them, instead of refusing them (521).")] = False


class Dns(_Section, frozen=True, kw_only=True):
    """The resolver."""

    nameservers: Annotated[tuple[str, ...], Meta(description='Servers as "address" or "address:port"; empty = those of /etc/resolv.conf.')] = ()
    timeout: Annotated[Seconds, Meta(description="Seconds one look-up may take in all.")] = 10
    max_ttl: Annotated[Positive, Meta(description="Longest time an answer is kept, in seconds.")] = 86_400
    min_ttl: Annotated[Count, Meta(description="Shortest time an answer is kept, in seconds.")] = 30
    trusted: Annotated[tuple[str, ...], Meta(description="Addresses of validating nameservers, reached over a safe line, whose DNSSEC verdict (AD) is believed as that of one on loopback is; DANE needs either.")] = ()


class Smarthost(_Section, frozen=True, kw_only=True):
    """One next hop for everything."""

    host: Annotated[Name, Meta(description="Name or address of the next hop; empty = deliver to the receivers' MX hosts.")] = ""
    port: Annotated[Port, Meta(description="Its port.")] = 587
    username: Annotated[Name, Meta(description="Login; empty = none.")] = ""
    password: Annotated[str, Meta(description="Password of the login; better given as PILLARBOX_DELIVERY__SMARTHOST__PASSWORD.", extra=SECRET)] = ""
    tls: Annotated[str, Meta(pattern="^(none|opportunistic|required|implicit)$", description="none, opportunistic, required (STARTTLS with a valid certificate) or implicit.")] = "required"
    connections: Annotated[Positive, Meta(description="Connections to it at once.")] = 20
    messages_per_connection: Annotated[Positive, Meta(description="Transactions on one connection.")] = 1000
    use: Annotated[str, Meta(pattern="^(always|overflow)$", description="always: everything goes there; overflow: only what the warmup of our own addresses has no room for today.")] = "always"


class Delivery(_Section, frozen=True, kw_only=True):
    """How messages leave."""

    remote_port: Annotated[Port, Meta(description="Port of the receivers' MX hosts; other than 25 only in a laboratory.")] = 25
    allow_private_addresses: Annotated[bool, Meta(description="Deliver to loopback and private addresses (laboratory, internal networks).")] = False
    source_address: Annotated[str, Meta(description="IPv4 address to send from; empty lets the machine choose.")] = ""
    helo: Annotated[Name, Meta(description="HELO name; empty = box.hostname.")] = ""
    ipv6: Annotated[bool, Meta(description="Reach receivers over IPv6 too from a box without configured egress addresses (needs an address with PTR); those that are configured with IPv6 use it anyway.")] = False
    max_connections: Annotated[Positive, Meta(description="Connections of one process in all.")] = 1000
    connect_timeout: Annotated[Seconds, Meta(description="Seconds for a TCP connection.")] = 30
    greeting_timeout: Annotated[Seconds, Meta(description="Seconds for the greeting (RFC 5321: 300).")] = 300
    command_timeout: Annotated[Seconds, Meta(description="Seconds for EHLO, MAIL and RCPT (RFC 5321: 300).")] = 300
    data_timeout: Annotated[Seconds, Meta(description="Seconds for the answer to DATA (RFC 5321: 120).")] = 120
    dot_timeout: Annotated[Seconds, Meta(description="Seconds for the answer after the final dot (RFC 5321: 600).")] = 600
    session_timeout: Annotated[Seconds, Meta(description="Seconds one transaction may take in all; bounds a tarpit.")] = 1800
    idle_timeout: Annotated[Seconds, Meta(description="Seconds an unused connection is kept.")] = 5
    starttls: Annotated[bool, Meta(description="Use STARTTLS where the receiver offers it.")] = True
    mta_sts: Annotated[bool, Meta(description="Fetch and keep to the MTA-STS policies of receivers (RFC 8461).")] = True
    dane: Annotated[bool, Meta(description="Keep to the TLSA records of receivers (RFC 7672), where a nameserver on loopback or in dns.trusted vouches for them.")] = True
    smarthost: Smarthost = field(default_factory=Smarthost)


class Queue(_Section, frozen=True, kw_only=True):
    """How long and how often."""

    retry: Annotated[tuple[Seconds, ...], Meta(min_length=1, description="Seconds until the next attempt, after the first, second, ... failure; the last repeats.")] = (300, 900, 1800, 3600, 7200, 14_400)
    jitter: Annotated[float, Meta(ge=0, le=0.5, description="Share by which each wait is varied at random.")] = 0.1
    lifetime: Annotated[Seconds, Meta(description="Seconds a transactional message is tried.")] = 4 * 86_400
    bulk_lifetime: Annotated[Seconds, Meta(description="Seconds a bulk message is tried.")] = 86_400
    ready_recipients: Annotated[int, Meta(ge=100, le=1_000_000, description="Recipients held ready in the memory of one process.")] = 10_000
    ready_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40, description="Octets of message content held in the memory of one process; a quarter is kept for what was read back from the disk.")] = 64 * 1024 * 1024
    notices_per_hour: Annotated[Positive, Meta(description="Failure notices an hour to one sender, then one summary.")] = 50


class Spool(_Section, frozen=True, kw_only=True):
    """Where messages wait."""

    processes: Annotated[int, Meta(ge=0, le=64, description="mta processes sharing the port, each with its own shard; 0 = one for each core, four at most.")] = 0
    min_free_bytes: Annotated[Count, Meta(description="Free space on its disk below which new mail gets 452.")] = 64 * 1024 * 1024
    min_free_memory_bytes: Annotated[int, Meta(ge=0, le=1 << 40, description="Available memory, of the machine and of the control group (MemoryMax), below which new mail gets 452.")] = 64 * 1024 * 1024
    keep_content: Annotated[float, Meta(ge=0, le=31_536_000, description="Seconds the content of a finished message is kept.")] = 0.0


class Warmup(_Section, frozen=True, kw_only=True):
    """Warming new egress addresses; schedules lie in config/warmup/ and <home>/warmup/."""

    timezone: Annotated[Name, Meta(description="Zone whose midnight begins a day of warmup, such as Europe/Berlin.")] = "UTC"
    portion: Annotated[int, Meta(ge=1, le=1000, description="Recipients of a day's budget that a process takes at once at most; as many are lost when it is killed.")] = 20
    idle_days: Annotated[Positive, Meta(description="Days without mail after which a warm address starts over.")] = 30


class Shaping(_Section, frozen=True, kw_only=True):
    """How fast each receiver is written to; the rules lie in config/shaping.toml."""

    file: Annotated[str, Meta(max_length=4096, description="Rules of your own instead of the shipped ones; empty = <home>/shaping.toml if it is there, else the shipped ones.")] = ""


class Blocklists(_Section, frozen=True, kw_only=True):
    """DNS blocklists that every egress address is looked up in; the list lies in config/blocklists.toml."""

    enabled: Annotated[bool, Meta(description="Look the egress addresses up in DNS blocklists.")] = True
    every: Annotated[Seconds, Meta(description="Seconds between two looks.")] = 3600
    drain: Annotated[bool, Meta(description="Drain an address while a list marked `drain` has it, and enable it when it is delisted.")] = False
    file: Annotated[str, Meta(max_length=4096, description="A list of your own; empty = <home>/blocklists.toml if it is there, else the shipped one.")] = ""


class TlsReports(_Section, frozen=True, kw_only=True):
    """Daily reports on TLS to receivers who ask for them (TLS-RPT, RFC 8460)."""

    enabled: Annotated[bool, Meta(description="Send the reports.")] = True
    organisation: Annotated[Name, Meta(description="Who reports; empty = box.hostname.")] = ""
    contact: Annotated[Name, Meta(description="Address for questions; empty = postmaster@<box.hostname>.")] = ""


class Web(_Section, frozen=True, kw_only=True):
    """The console, as browsers reach it."""

    public_url: Annotated[str, Meta(max_length=255, description="Its address, such as https://mail.example.org: links in letters lead there, passkeys are bound to its host name, an address is none; empty = http://localhost:<listeners.web.port>.")] = ""
    proxies: Annotated[tuple[str, ...], Meta(description="Addresses or networks of reverse proxies before it, whose X-Forwarded-For says where a request comes from; each must add to that header.")] = ("127.0.0.1", "::1")


class Api(_Section, frozen=True, kw_only=True):
    """How often a key or a person may use a route; all of a tenant together may four times that."""

    reads_per_second: Annotated[PerSecond, Meta(description="Reads a second, of each route.")] = 50
    reads_burst: Annotated[AtOnce, Meta(description="Reads at once.")] = 200
    writes_per_second: Annotated[PerSecond, Meta(description="Changes a second, of each route.")] = 10
    writes_burst: Annotated[AtOnce, Meta(description="Changes at once.")] = 60
    sends_per_second: Annotated[PerSecond, Meta(description="Requests a second that send: one message, or a batch of up to 1,000.")] = 2000
    sends_burst: Annotated[AtOnce, Meta(description="Such requests at once.")] = 4000


class Provider(_Section, frozen=True, kw_only=True):
    """Somebody else (OpenID Connect) by whom people may sign in."""

    name: Annotated[str, Meta(max_length=40, description="Short name, stands in URLs, such as google.")]
    issuer: Annotated[str, Meta(max_length=255, description="Its issuer, such as https://accounts.google.com or https://login.microsoftonline.com/<tenant id>/v2.0.")]
    client_id: Annotated[Name, Meta(description="What the issuer calls this box.")]
    client_secret: Annotated[str, Meta(max_length=1024, description="Secret of the client.", extra=SECRET)]
    trust_email: Annotated[bool, Meta(description="Believe its addresses without its saying that they are verified: for an issuer of your own organisation only.")] = False


class SignIn(_Section, frozen=True, kw_only=True):
    """How people sign in to the console."""

    session_idle: Annotated[Seconds, Meta(description="Seconds without a request after which a session ends.")] = 12 * 3600
    session_life: Annotated[float, Meta(ge=60, le=31_536_000, description="Seconds after which a session ends in any case.")] = 7 * 86_400
    providers: Annotated[tuple[Provider, ...], Meta(description="Issuers by whom people may sign in; each sends browsers back to <web.public_url>/api/v1/sign-in/oidc/<name>/callback.")] = ()


class Webhooks(_Section, frozen=True, kw_only=True):
    """Telling applications by HTTP what became of their mail."""

    allow_http: Annotated[bool, Meta(description="Take endpoints without TLS too (http://).")] = False
    allow_networks: Annotated[tuple[str, ...], Meta(description="Networks of private addresses that endpoints may be in, such as 10.0.0.0/8; public addresses always may.")] = ()
    retry: Annotated[tuple[Seconds, ...], Meta(min_length=1, description="Seconds until the next attempt, after the first, second, ... failure; the last repeats.")] = (5, 30, 120, 300, 900, 1800, 3600)
    give_up_after: Annotated[Seconds, Meta(description="Seconds an event is tried; an endpoint that takes nothing for so long is disabled.")] = 86_400


class Notifications(_Section, frozen=True, kw_only=True):
    """Telling people what the box found."""

    mail: Annotated[bool, Meta(description="Send them by mail too, to those who want that; they stand in the console in any case.")] = True
    stop_with_sending: Annotated[bool, Meta(description="When an admin stops all sending, keep the box's own mail back as well.")] = False
    bounce_percent: Annotated[float, Meta(gt=0, le=100, description="Bounces of a tenant's mail of a day, in percent, above which it is told.")] = 2.0
    complaint_percent: Annotated[float, Meta(gt=0, le=100, description="Complaints, in percent of what was delivered, above which it is told.")] = 0.1
    least_messages: Annotated[Positive, Meta(description="Recipients a day below which shares say nothing.")] = 100


class Database(_Section, frozen=True, kw_only=True):
    """Where records live: embedded files, or one PostgreSQL database for several nodes."""

    url: Annotated[str, Meta(description="Empty = embedded SQLite files; postgresql://... for PostgreSQL.", extra=SECRET_IN_URL)] = ""


class Backup(_Section, frozen=True, kw_only=True):
    """Backups that the box makes by itself; `pillarbox backup` makes one at any time."""

    directory: Annotated[str, Meta(max_length=4096, description="Folder for them, better on another disk; empty = none are made.")] = ""
    every: Annotated[Seconds, Meta(description="Seconds from one to the next.")] = 86_400
    keep: Annotated[Positive, Meta(description="How many are kept; older ones are deleted once a new one is sound.")] = 7
    key_file: Annotated[str, Meta(max_length=4096, description="What seals them, made with `pillarbox backup new-key`; without it nobody opens them: keep a copy elsewhere.")] = ""


class Retention(_Section, frozen=True, kw_only=True):
    """How long history is kept."""

    events_days: Annotated[Positive, Meta(description="Days the event log is kept; a day is one partition.")] = 90
    statistics_hours_days: Annotated[Positive, Meta(description="Days for which statistics are kept by the hour.")] = 35
    statistics_days: Annotated[Positive, Meta(description="Days for which statistics are kept by the day.")] = 400


class Logging(_Section, frozen=True, kw_only=True):
    """The structured log on standard error."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")] = "info"


class Metrics(_Section, frozen=True, kw_only=True):
    """Who may read /metrics and the details of /health; programs of this machine always may."""

    token: Annotated[str, Meta(max_length=255, description="Bearer token that lets other machines read them too; empty = none may.", extra=SECRET)] = ""


class Processes(_Section, frozen=True, kw_only=True):
    """How processes stop and restart."""

    drain_timeout: Annotated[Seconds, Meta(description="Seconds a process may take to finish its sessions after SIGTERM.")] = 30
    beat_timeout: Annotated[Seconds, Meta(description="Seconds without a beat after which a process counts as dead in /health.")] = 15


class Settings(_Section, frozen=True, kw_only=True):
    """The whole configuration."""

    box: Box = field(default_factory=Box)
    listeners: Listeners = field(default_factory=Listeners)
    tls: Tls = field(default_factory=Tls)
    submission: Submission = field(default_factory=Submission)
    inbound: Inbound = field(default_factory=Inbound)
    dns: Dns = field(default_factory=Dns)
    delivery: Delivery = field(default_factory=Delivery)
    queue: Queue = field(default_factory=Queue)
    spool: Spool = field(default_factory=Spool)
    warmup: Warmup = field(default_factory=Warmup)
    shaping: Shaping = field(default_factory=Shaping)
    blocklists: Blocklists = field(default_factory=Blocklists)
    tls_reports: TlsReports = field(default_factory=TlsReports)
    web: Web = field(default_factory=Web)
    api: Api = field(default_factory=Api)
    sign_in: SignIn = field(default_factory=SignIn)
    webhooks: Webhooks = field(default_factory=Webhooks)
    notifications: Notifications = field(default_factory=Notifications)
    database: Database = field(default_factory=Database)
    backup: Backup = field(default_factory=Backup)
    retention: Retention = field(default_factory=Retention)
    logging: Logging = field(default_factory=Logging)
    metrics: Metrics = field(default_factory=Metrics)
    processes: Processes = field(default_factory=Processes)
