#!/usr/bin/env python3
"""The report pages in a real browser: those of small runs are opened in headless Chromium, at the
width of a phone, and must have drawn their charts and verdict without an error of their script.

Called as page_test.py SLUICE_BENCH. Exit status 77 (skipped) without Chromium.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile

METER = sys.argv[1]


def free_port(count=1):
    """The first of so many free ports, below those that the kernel gives to outgoing connections."""
    while True:
        first = random.randrange(12000, 30000)
        probes = [socket.socket() for _ in range(count)]
        try:
            for i, probe in enumerate(probes):
                probe.bind(('127.0.0.1', first + i))
            return first
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()


def wait_until_listening(port, process):
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
    sys.exit('the floor server ended')


def dom_of(browser, page, folder):
    done = subprocess.run(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--window-size=400,900',
         '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', f'--user-data-dir={folder}/profile',
         '--enable-logging=stderr', '--dump-dom',
         'file://' + page], capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if 'Uncaught' in line]
    if errors:
        sys.exit('the page has an error: ' + errors[0])
    return done.stdout


def run(*arguments):
    done = subprocess.run([METER, *arguments], stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f'{arguments[0]} failed with {done.returncode}')


def check(browser, page, folder, wanted):
    drawn = dom_of(browser, page, folder).split('<main', 1)[1].split('</main>', 1)[0]
    for text, least in wanted:
        if drawn.count(text) < least:
            sys.exit(f'the page shows "{text}" {drawn.count(text)} times, not {least}')


def main():
    browser = shutil.which('chromium') or shutil.which('chromium-browser')
    if browser is None:
        print('no Chromium here')
        sys.exit(77)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, 'page.html')
        server = subprocess.Popen([METER, 'floor-server', '--port', str(port)])
        try:
            wait_until_listening(port, server)
            stream = ['--stream', f'http://127.0.0.1:{port}/stream']
            publish = ['--publish', f'http://127.0.0.1:{port}/broadcast']
            short = ['-n', '20', '--pid', str(server.pid), '--quiet', '--html', page]
            run('fanout', *stream, *publish, *short, '--rate', '100', '--duration', '1',
                '--warmup', '0.2')
            check(browser, page, folder, (
                ('<polyline', 4), ('PASS: every event reached', 1), ('<figure', 4),
                ('deliveries a second', 1), ('floor-server --port', 1), ('kernel', 1)))
            run('connect', *stream, *short, '--idle', '0.1')
            check(browser, page, folder, (
                ('<polyline', 1), ('PASS', 1), ('connects a second', 1), ('kernel', 1)))
            run('burst', *stream, *publish, *short, '--rounds', '2', '--gap', '0.05')
            check(browser, page, folder, (('PASS', 1), ('last ms', 1), ('kernel', 1)))
        finally:
            server.terminate()
            server.wait()
        targets = ''.join(
            f'[[target]]\nname = "{name}"\nfloor = {floor}\nours = true\ncommand = ["{{meter}}", '
            '"floor-server", "--port", "{port}"]\n'
            for name, floor in (('base', 'false'), ('other', 'false'), ('floor', 'true')))
        plan = os.path.join(folder, 'compare.toml')
        with open(plan, 'w') as file:
            file.write('[load]\nsubscribers = [20]\nrates = [100]\nruns = 1\nduration = 1.0\n'
                       'warmup = 0.2\nbase = "base"\n' + targets)
        run('compare', plan, '--port', str(free_port(20)), '--html', page)
        check(browser, page, folder, (
            ('class="bar"', 6), ('<polyline', 12), ('20 subscribers', 1),
            ('us CPU a delivery', 1), ('kernel', 1)))
    print('the pages are drawn')


if __name__ == '__main__':
    main()
