"""The way of a message, one folder per stage.

submission   a client speaks SMTP: commands, TLS, AUTH, DATA          -> Submission
policy       may this tenant send it? headers set right               -> Admitted
intake       the one door: policy, then signing and spool, then "250"
signing      DKIM, in the thread that commits
spool        durable before polite: messages, recipients, outbox
scheduling   who is due, fair between tenants, lanes per (egress, site)
transport    MX, connections, one SMTP transaction                    -> Attempt
outcome      classify, decide, record                                 -> new state + event
bounce       what comes back: signed return paths, DSN, ARF, notices of our own
"""
