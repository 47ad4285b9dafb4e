"""The relay job: client -> relay -> smtp-sink on loopback, ours beside Postfix and OpenDKIM.

base        what a relay is to the harness          clients    loads, and who sends them
ours        this box, as in production              generator  many domains, STARTTLS, AUTH
peers       Postfix, Postfix + OpenDKIM             load       one run, with what it cost
resolver    ten thousand domains, fast              latency    one message at a time, signatures
zone        the laboratory's DNS server             flushes    fsync and fdatasync, counted by perf or strace
processes   CPU and memory of process trees         disk       what a flush costs here
report      medians, ratios    tables   in words    plot       SVG
"""
