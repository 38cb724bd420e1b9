"""How many subscribers one gateway process reaches from one meter process, and what they cost.

Each step is a gateway and a meter of its own: they join, an event goes to all at a time, every
event of every stream is checked. A step that runs out of memory or time is ended and says so.
"""

import math
import threading
import time

from speed_parts import Server, note, row, table

MIB = 2**20
AVAILABLE_MIN = 2 * 2**30  # below this much memory the step is ended
SECONDS_MAX = 240
SUBSCRIBERS_A_SECOND = 60_000  # a sweep of that many fits well into a second


class Watch:
    """Ends the meter when memory or time runs out; `reason` says which."""

    def __init__(self):
        self.reason = ''
        self.available_least = available_bytes()
        self.subscribers_most = 0

    def __call__(self, process):
        self.process = process
        self.is_over = threading.Event()
        return self

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def run(self):
        begin = time.monotonic()
        while not self.reason and not self.is_over.wait(0.25):
            self.available_least = min(self.available_least, available_bytes())
            self.subscribers_most = max(self.subscribers_most, tcp_sockets() // 2)
            if self.available_least < AVAILABLE_MIN:
                self.reason = f'less than {AVAILABLE_MIN // MIB:,} MiB of memory left'
            elif time.monotonic() - begin > SECONDS_MAX:
                self.reason = f'not done after {SECONDS_MAX} s'
        if self.reason:
            self.process.kill()


def available_bytes():
    with open('/proc/meminfo') as facts:
        return next(int(line.split()[1]) * 1024 for line in facts
                    if line.startswith('MemAvailable:'))


def tcp_sockets():
    with open('/proc/net/sockstat') as facts:
        return next(int(line.split()[2]) for line in facts if line.startswith('TCP:'))


def reach(lab, options):
    """An event to all of 100,000 at a time."""
    steps(lab, options, options.reach, events=10)


def million(lab, options):
    """How far up it goes. Heartbeats wait: a sweep takes longer than their interval."""
    steps(lab, options, options.million, events=3, extra=['--stream-heartbeat=2m'])


def steps(lab, options, counts, events, extra=()):
    print('\n## Reach: subscribers of one process, an event to all at a time\n')
    table('subscribers', 'joined in s', 'events', 'lost', 'last p50 ms', 'last max ms',
          'us CPU a delivery', 'server CPU', 'meter CPU', 'server user bytes each (PSS)',
          'kernel bytes each, both ends', 'all bytes each, meter included',
          'socket buffers at most MiB', 'memory left MiB', 'ended by')
    for count in counts:
        note(f'{count:,} subscribers')
        watch = Watch()
        every_s = math.ceil(count / SUBSCRIBERS_A_SECOND)
        with Server(lab, 'sluice-io_uring', extra=[*extra, *options.reach_option]) as server:
            try:
                result = server.meter(
                    'fanout', '-n', count, '--rate', 1 / every_s, '--warmup', every_s,
                    '--duration', events * every_s, '--settle', 3, '--drain', 30,
                    '--size', options.size, watch=watch)
            except RuntimeError as error:
                row(f'{count:,}', *[''] * 12, f'{watch.available_least / MIB:,.0f}',
                    f'{watch.reason or error} ({watch.subscribers_most:,} connections)')
                continue
        print_step(count, result, watch)


def print_step(count, result, watch):
    memory = result['memory']
    last = result['last_subscriber']
    faults = result['faults']
    wrong = [f'{faults[kind]:.0f} {kind}' for kind in faults if faults[kind]]
    row(f'{count:,}', f'{result["connect_s"]:.1f}', f'{result["events"]["accepted"]:.0f}',
        f'{faults["lost"]:.0f}', f'{last["p50_ms"]:,.0f}', f'{last["max_ms"]:,.0f}',
        f'{result["server"]["cpu_us_a_delivery"]:.2f}',
        f'{100 * result["server"]["cpu_share"]:.0f} %', f'{100 * result["meter_cpu_share"]:.0f} %',
        f'{memory["server_pss_bytes_each"]:.0f}', f'{memory["kernel_bytes_each"]:,.0f}',
        f'{memory["all_bytes_each"]:,.0f}', f'{memory["tcp_peak_bytes"] / MIB:,.0f}',
        f'{watch.available_least / MIB:,.0f}', ', '.join(wrong + result['problems']) or 'nothing')
