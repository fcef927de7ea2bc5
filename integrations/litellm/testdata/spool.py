"""Drives the callback's own spool: run by litellm_test.go, which is the server."""
import os
import sys
import threading
import time

import indelible_callback as callback

one, path = callback.indelible, os.environ["INDELIBLE_SPOOL"]


def post(body):
    try:
        return one.run(one.post(body, 5))
    except callback.TROUBLE as e:
        return repr(e)


def wait(until):
    while not until():
        time.sleep(0.01)


if sys.argv[1] == "post":
    print(post(b'{"id":"a"}'))
elif sys.argv[1] == "append":  # the server does not answer the first record before the second one was appended
    one.spool.append(b'{"id":"first"}')
    wait(lambda: os.path.exists(path + ".sending"))
    appended = threading.Thread(target=one.spool.append, args=(b'{"id":"second"}',), daemon=True)
    appended.start()
    appended.join(20)
    print("appended" if not appended.is_alive() else "waits", flush=True)
    sys.stdin.readline()  # the server goes on
    wait(lambda: not os.path.exists(path) and not os.path.exists(path + ".sending"))
    print("empty")
elif sys.argv[1] == "restart":  # what a process that was killed was sending is sent first
    wait(lambda: not os.path.exists(path) and not os.path.exists(path + ".sending"))
    print("empty")
