"""Who is due and when: fair queues, lanes per egress and site."""
