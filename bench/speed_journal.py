"""What a publish costs at each --ack, beside the disk's own limit; and a disk that stalls."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from speed_parts import Server, median, note, row, spread, table

ACKS = ('memory', 'written', 'synced')
IN_FLIGHT = (1, 8, 64, 256)


@contextlib.contextmanager
def folder_on(disk):
    path = tempfile.mkdtemp(prefix='sluice-speed-', dir=disk)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def flushes_a_second(folder, size, seconds=2):
    """Appends `size` bytes and waits for the disk, over and over: what one waiting writer gets."""
    count = 0
    with open(os.path.join(folder, 'flushes'), 'wb', buffering=0) as file:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            file.write(b'x' * size)
            os.fdatasync(file.fileno())
            count += 1
    os.remove(os.path.join(folder, 'flushes'))
    return count / seconds


def statistics_of(server):
    with urllib.request.urlopen(f'http://127.0.0.1:{server.port}/stats') as answer:
        return json.load(answer)['journal']


def publish_run(lab, options, engine, ack, in_flight, folder):
    with Server(lab, f'sluice-{engine}',
                extra=['--journal', f'{folder}/journal', '--ack', ack]) as server:
        before = statistics_of(server)
        result = server.meter('fanout', '-n', 1, '--rate', 'max', '--in-flight', in_flight,
                              '--ahead', 0, '--size', options.size, '--duration', options.duration,
                              '--warmup', options.warmup)
        after = statistics_of(server)
    shutil.rmtree(f'{folder}/journal')
    groups = after['groups_total'] - before['groups_total']
    events = after['events_written_total'] - before['events_written_total']
    result['events_a_group'] = events / groups if groups else 0
    note(f'  {engine} {ack} {in_flight}: {result["publishes_a_second"]:,.0f}/s'
         + (f'  {result["problems"]} {result["faults"]}' if result['exit'] else ''))
    return result


def acks(lab, options):
    """Publishers that wait for their answer, a connection each; flushes are measured in between."""
    print('\n## Publishes a second by what their 200 means, one reader\n')
    table('engine', 'ack', *(f'{n} in flight' for n in IN_FLIGHT),
          f'+- at {IN_FLIGHT[-1]}', f'events a group at {IN_FLIGHT[-1]}', 'faults')
    engines = options.engine or ('io_uring', 'epoll')
    flushes = []
    series = {}
    with folder_on(options.disk) as folder:
        for _ in range(options.runs):
            for in_flight in IN_FLIGHT:
                flushes.append(flushes_a_second(folder, options.frame_bytes))
                for engine in engines:
                    for ack in ACKS:
                        series.setdefault((engine, ack, in_flight), []).append(
                            publish_run(lab, options, engine, ack, in_flight, folder))
    row('the disk', 'one append and fdatasync after another', f'{median(flushes):,.0f}',
        *[''] * (len(IN_FLIGHT) - 1), f'{100 * spread(flushes):.0f} %', '', '')
    for engine in engines:
        for ack in ACKS:
            of = [[r['publishes_a_second'] for r in series[engine, ack, n]] for n in IN_FLIGHT]
            last = series[engine, ack, IN_FLIGHT[-1]]
            row(engine, ack, *(f'{median(rates):,.0f}' for rates in of),
                f'{100 * spread(of[-1]):.0f} %',
                f'{median([r["events_a_group"] for r in last]):,.1f}',
                sum(sum(r['faults'].values()) + (r['exit'] != 0)
                    for n in IN_FLIGHT for r in series[engine, ack, n]))


# --- A disk that stalls ---------------------------------------------------------------------------


@contextlib.contextmanager
def own_disk():
    """A file system of its own in a file, which can be frozen: it then takes no write until it is
    thawed. Wants root."""
    with folder_on(tempfile.gettempdir()) as folder:
        image = os.path.join(folder, 'image')
        mount = os.path.join(folder, 'mount')
        os.mkdir(mount)
        with open(image, 'wb') as file:
            file.truncate(512 << 20)
        subprocess.run(['mkfs.ext4', '-q', image], check=True)
        subprocess.run(['mount', '-o', 'loop', image, mount], check=True)
        try:
            yield mount
        finally:
            subprocess.run(['umount', mount], check=True)


@contextlib.contextmanager
def frozen(mount):
    subprocess.run(['fsfreeze', '-f', mount], check=True)
    try:
        yield
    finally:
        subprocess.run(['fsfreeze', '-u', mount], check=True)


def synced_publish(server):
    """The status of a publish that waits for the disk, and after how long."""
    request = urllib.request.Request(
        f'http://127.0.0.1:{server.port}/publish/stalled?ack=synced', data=b'{"a":1}',
        headers={'Content-Type': 'application/json'}, method='POST')
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(request) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    return status, time.monotonic() - begun


def stall(lab, options):
    """Live delivery while the journal's disk takes nothing, and what a waiting publisher is told."""
    print('\n## 1,000 subscribers, 100 events a second, while the journal\'s disk is frozen\n')
    table('engine', 'disk', 'p50 / p99 / p99.9 ms', '+- of p99', 'taken', 'server CPU',
          'a publish that waits for the disk', 'lost', 'faults')
    for engine in options.engine or ('io_uring', 'epoll'):
        series = {'well': [], 'frozen': []}
        answers = []
        for _ in range(options.runs):
            with own_disk() as mount, Server(
                    lab, f'sluice-{engine}',
                    extra=['--journal', f'{mount}/journal', '--publish-ack-timeout', '2s']) as server:
                for state, freeze in (('well', contextlib.nullcontext()),
                                      ('frozen', frozen(mount))):
                    with freeze:
                        waiting = threading.Thread(
                            target=lambda: answers.append((state, *synced_publish(server))))
                        waiting.start()
                        series[state].append(server.meter(
                            'fanout', '-n', 1000, '--rate', 100, '--size', options.size,
                            '--duration', options.duration, '--warmup', options.warmup))
                        waiting.join()
                    if state == 'frozen':
                        answers.append(('thawed', *synced_publish(server)))
                lost = statistics_of(server)['events_lost_total']
                if lost:
                    note(f'  {lost} events are not in the journal')
        for state, results in series.items():
            p99 = [r['latency']['p99_ms'] for r in results]
            told = ', '.join(f'{status} after {1000 * seconds:,.0f} ms' for at, status, seconds
                             in answers if at == state or (at, state) == ('thawed', 'frozen'))
            row(engine, state, ' / '.join(
                f'{median([r["latency"][key] for r in results]):.1f}'
                for key in ('p50_ms', 'p99_ms', 'p99_9_ms')), f'{100 * spread(p99):.0f} %',
                f'{100 * median([r["offered_share"] for r in results]):.1f} %',
                f'{100 * median([r["server"]["cpu_share"] for r in results]):.0f} %', told,
                sum(r['faults']['lost'] for r in results),
                sum(sum(r['faults'].values()) + (r['exit'] != 0) for r in results))


# --- Starting -------------------------------------------------------------------------------------

LINE_BATCH = 1000


def fill(server, count, size):
    """Publishes `count` events as one stream of lines."""
    line = json.dumps({'topics': ['filled'], 'data': 'x' * size}).encode() + b'\n'
    with subprocess.Popen(
            ['curl', '-sS', '-o', os.devnull, '-T', '-', '-X', 'POST', '-H',
             'Content-Type: application/x-ndjson', f'http://127.0.0.1:{server.port}/publish'],
            stdin=subprocess.PIPE) as curl:
        for _ in range(count // LINE_BATCH):
            curl.stdin.write(line * LINE_BATCH)
        curl.stdin.close()
    events = statistics_of(server)['events']
    if events != count:
        raise RuntimeError(f'{events:,} events of {count:,} are in the journal')


def seconds_until_ready(lab, name, extra):
    """From the start of the program to its first 200 of /readyz, and what it said of its journal."""
    begun = time.monotonic()
    with Server(lab, name, extra=extra, waits=False) as server:
        while True:
            try:
                urllib.request.urlopen(f'http://127.0.0.1:{server.port}/readyz').close()
                break
            except OSError:
                if server.process.poll() is not None:
                    raise RuntimeError(f'{name} did not start: {server.said()}') from None
                time.sleep(0.001)
        seconds = time.monotonic() - begun
        said = next(line for line in server.said().splitlines() if ' journal ' in line)
    return seconds, said.partition(' journal ')[2].partition(': ')[2]


def start(lab, options):
    """A journal of 10 million events: until the gateway is ready, its history filled from it."""
    print(f'\n## Start with a journal of {options.start_events:,} events\n')
    table('page cache', 'history holds', 'seconds until ready', '+-', 'it said')
    name = 'sluice-io_uring'
    with folder_on(options.disk) as folder:
        journal = ['--journal', f'{folder}/journal', '--journal-bytes-max', '8GiB']
        with Server(lab, name, extra=journal) as server:
            fill(server, options.start_events, options.size)
        for events in (0, 10_000, 1_000_000):
            history = ['--history-events-max', str(events), '--history-bytes-max', '1GiB']
            for cache in ('dropped', 'warm'):
                seconds = []
                for _ in range(options.runs):
                    if cache == 'dropped':
                        os.sync()
                        with open('/proc/sys/vm/drop_caches', 'w') as drop:
                            drop.write('3')
                    once, said = seconds_until_ready(lab, name, journal + history)
                    seconds.append(once)
                row(cache, f'{events:,}', f'{median(seconds):.3f}', f'{100 * spread(seconds):.0f} %',
                    said)
