"""The control path: what many tenants and changes of them cost the messages.

people      tenants, credentials, domains          box         one that runs with them
rate        messages beside many, beside one       statements  of SQL on control.db, a message
effect      from a commit to what clients see      rebuild     of the directory: how late the loop is
probe       a client that looks at every answer    report      tables
"""
