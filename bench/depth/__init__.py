"""Queue depth: what a box with many waiting recipients costs beside the same box with none.

home       a box with its tenants, and the world it sends to     fill       recipients straight into a spool
box        start, health, memory, stop                           child      a process that answers questions
sink       the receivers                                         load       the clients
trial      one look at one box                                   scenarios  flood, dead destination
report     medians, ratios, Markdown                             plot       SVG
"""
