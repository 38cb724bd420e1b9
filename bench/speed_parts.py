"""Starting the servers that bench/speed compares, running the meter, and medians.

Every server runs pinned to the server's processors and is ended by its own process id.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


class Lab:
    """The programs, processors and ports of one session of measuring."""

    def __init__(self, sluice, meter, port, server_cpu=0, meter_cpu=1, nice=0, frame_bytes=140):
        self.sluice = sluice
        self.meter = meter
        self.port = port
        self.server_cpu = server_cpu
        self.meter_cpu = meter_cpu
        self.frame_bytes = frame_bytes  # of the floor's frames: what a gateway's have
        self.nice = nice

    def next_port(self):
        """A port that nobody serves: a stranger's server would be measured in silence."""
        while True:
            self.port += 1
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) != 0:
                    return self.port

    def command(self, name, port):
        """The command line of a server by name; `sluice-io_uring-2` is two shards."""
        if name == 'nchan':
            return [os.path.join(HERE, 'peers/nchan/run'), str(port)]
        if name == 'go':
            return [os.path.join(HERE, 'peers/gobroker/run'), str(port)]
        if name.startswith('floor'):
            engine = ['--io-uring'] if name == 'floor-io_uring' else []
            return [self.meter, 'floor-server', '--port', str(port), *engine,
                    '--frame-bytes', str(self.frame_bytes)]
        parts = name.split('-')
        shards = int(parts[2]) if len(parts) > 2 else 1
        cpus = ','.join(str(c) for c in ([self.server_cpu] if shards == 1 else range(shards)))
        return [self.sluice, '--listen', f'127.0.0.1:{port}', '--shards', str(shards),
                '--cpus', cpus, '--engine', parts[1]]

    def run_meter(self, arguments, watch=None):
        """Runs sluice-bench and returns its JSON; a run that failed is still returned.

        A `watch`, if any, is told the process and may end it.
        """
        with tempfile.NamedTemporaryFile(suffix='.json') as out:
            process = self.start(
                [self.meter, *arguments, '--json', out.name, '--cpus', str(self.meter_cpu)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                with watch(process) if watch else contextlib.nullcontext():
                    _, problem = process.communicate()
            except BaseException:
                process.kill()
                process.wait()
                raise
            text = open(out.name).read()
            if not text:
                raise RuntimeError(f'the meter gave no result: {problem.strip()}')
            result = json.loads(text)
            result['exit'] = process.returncode
            return result

    def start(self, command, **named):
        """Starts a program at the lab's niceness.

        Where the kernel groups processes by session (sched_autogroup), niceness counts within a
        session only: so each program gets a session of its own, and the session gets the niceness.
        """
        if not self.nice:
            return subprocess.Popen(command, **named)
        process = subprocess.Popen(['nice', '-n', str(self.nice), *command],
                                   start_new_session=True, **named)
        try:
            with open(f'/proc/{process.pid}/autogroup', 'w') as group:
                group.write(str(self.nice))
        except OSError:
            pass  # no such grouping here: the process's own niceness is what counts
        return process


class Server:
    """A running server of a Lab, as a context."""

    def __init__(self, lab, name, extra=(), pinned=True, files=0, waits=True):
        self.lab = lab
        self.name = name
        self.waits = waits
        self.port = lab.next_port()
        command = [*lab.command(name, self.port), *extra]
        if pinned:
            command = ['taskset', '-c', str(lab.server_cpu), *command]
        if files:
            command = ['prlimit', f'--nofile={files}:{files}', *command]
        self.log = tempfile.TemporaryFile(mode='w+')
        self.process = lab.start(command, stdout=self.log, stderr=self.log)

    def __enter__(self):
        if not self.waits:
            return self
        for _ in range(600):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    time.sleep(0.3)
                    if self.process.poll() is None:
                        return self
            time.sleep(0.05)
        text = self.said()
        self.__exit__()
        raise RuntimeError(f'{self.name} did not start: {text.strip()}')

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def said(self):
        """All that it has written so far."""
        # Not seek: the server writes with the same offset.
        return os.pread(self.log.fileno(), 2**20, 0).decode()

    def meter(self, command, *arguments, watch=None):
        """One run of the meter's `command` against this server."""
        base = f'http://127.0.0.1:{self.port}'
        publish = (['--publish', base + '/broadcast'] if command in ('fanout', 'burst', 'resume')
                   else [])
        return self.lab.run_meter([command, '--stream', base + '/stream', *publish, '--quiet',
                                   '--pid', str(self.process.pid), *map(str, arguments)],
                                  watch)


def end_servers_on_sigterm():
    """Lets SIGTERM leave through the contexts, so that no server stays behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def median(values):
    return statistics.median(values)


def spread(values):
    """Half the distance from the smallest to the largest, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def table(*columns):
    print('| ' + ' | '.join(columns) + ' |')
    print('|' + '---|' * len(columns))


def row(*cells):
    print('| ' + ' | '.join(str(cell) for cell in cells) + ' |', flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)
