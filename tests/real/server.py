# SPDX-License-Identifier: GPL-2.0-or-later
"""A redis-server to trace."""
import os
import socket
import subprocess

import harness
from harness import wait_until


class Redis:
    """A redis-server of our own, on a port of our own."""

    def __init__(self, where, start=subprocess.Popen):
        """@start: what runs it, as subprocess.Popen does."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with open(os.path.join(where, "redis.log"), "wb") as log:
            self.server = start(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", where,
                 "--save", "", "--appendonly", "no", "--daemonize", "no",
                 "--enable-debug-command", "yes"], stdout=log, stderr=log)
        wait_until("redis-server answers", lambda: self.server.poll() is not None or
                   self.cli("ping") == "PONG")

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True,
                              text=True, check=False).stdout.strip()

    def load(self, first, last):
        """Fixed keys and values of many sizes, some overwritten, some deleted."""
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            answers = link.makefile("rb")
            for begin in range(first, last, 500):
                commands, number = [], 0
                for i in range(begin, begin + 500):
                    value = b"v" * (i * 37 % 900 + 1)
                    commands.append(b"SET key:%d %b\r\n" % (i % 40000, value))
                    commands.append(b"RPUSH list:%d %d\r\n" % (i % 100, i))
                    commands.append(b"HSET hash:%d field:%d %d\r\n" % (i % 1000, i, i))
                    number += 3
                    if i % 7 == 0:
                        commands.append(b"DEL key:%d\r\n" % (i * 3 % 40000))
                        number += 1
                link.sendall(b"".join(commands))
                for _ in range(number):
                    answers.readline()

    def bench(self):
        return subprocess.Popen(
            ["redis-benchmark", "-p", str(self.port), "--dbnum", "9", "-t",
             "set,get,lpush,hset,sadd", "-n", "20000", "-r", "5000", "-d", "200", "-P", "4", "-q"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def digest(self):
        self.cli("-n", "9", "flushdb")
        return self.cli("debug", "digest")

    def stop(self):
        self.server.terminate()
        return self.server.wait(harness.PATIENCE)
