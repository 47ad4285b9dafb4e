"""Lab: a small world on loopback to send to: DNS, receivers that misbehave, a mail catcher.

dns_server   a real DNS server with a zone and faults
receiver     an SMTP receiver that does what its script says
world        the zone and hosts of `pillarbox lab`, with what each of them does
"""
