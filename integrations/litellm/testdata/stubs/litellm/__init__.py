"""The names that the callback imports, for tests of what is its own: its spool and its way to the door."""


class ServiceUnavailableError(Exception):
    pass
