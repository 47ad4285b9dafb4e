"""The relay job: smtp-source -> relay -> smtp-sink on loopback, ours beside Postfix and OpenDKIM.

base        what a relay is to the harness          load      one run of smtp-source and smtp-sink
ours        this box, as in production              latency   one message at a time, signatures
peers       Postfix, Postfix + OpenDKIM             flushes   fsync and fdatasync, counted by strace
zone        the laboratory's DNS server             disk      what a flush costs here
processes   CPU and memory of process trees         report    medians, ratios, tables      plot   SVG
"""
