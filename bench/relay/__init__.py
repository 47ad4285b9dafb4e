"""The relay job: smtp-source -> relay -> smtp-sink on loopback, ours beside Postfix and OpenDKIM.

processes   CPU and memory of process trees         ours      this box, as in production
base        what a relay is to the harness          peers     Postfix, Postfix + OpenDKIM
load        one run of smtp-source and smtp-sink    latency   one message at a time, signatures
flushes     fsync and fdatasync, counted by strace  report    table, JSON, plot
"""
