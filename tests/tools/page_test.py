#!/usr/bin/env python3
"""The report page in a real browser: a small run's page is opened in headless Chromium, at the width
of a phone, and must have drawn its charts and its verdict without an error of its script.

Called as page_test.py SLUICE_BENCH. Exit status 77 (skipped) without Chromium.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile

METER = sys.argv[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_until_listening(port, process):
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return
    sys.exit('the floor server ended')


def dom_of(browser, page, folder):
    done = subprocess.run(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--window-size=400,900',
         f'--user-data-dir={folder}/profile', '--enable-logging=stderr', '--dump-dom',
         'file://' + page], capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if 'Uncaught' in line]
    if errors:
        sys.exit('the page has an error: ' + errors[0])
    return done.stdout


def main():
    browser = shutil.which('chromium') or shutil.which('chromium-browser')
    if browser is None:
        print('no Chromium here')
        sys.exit(77)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([METER, 'floor-server', '--port', str(port)])
        try:
            wait_until_listening(port, server)
            page = os.path.join(folder, 'page.html')
            base = f'http://127.0.0.1:{port}'
            run = subprocess.run(
                [METER, 'fanout', '--stream', base + '/stream', '--publish', base + '/broadcast',
                 '-n', '20', '--rate', '100', '--duration', '1', '--warmup', '0.2', '--quiet',
                 '--pid', str(server.pid), '--html', page], stdout=subprocess.DEVNULL)
            if run.returncode != 0:
                sys.exit(f'the run failed with {run.returncode}')
            dom = dom_of(browser, page, folder)
        finally:
            server.terminate()
            server.wait()
    drawn = dom.split('<main', 1)[1].split('</main>', 1)[0]
    for wanted, least in (('<polyline', 4), ('PASS: every event reached', 1), ('<figure', 4),
                          ('deliveries a second', 1), ('kernel', 1)):
        if drawn.count(wanted) < least:
            sys.exit(f'the page shows "{wanted}" {drawn.count(wanted)} times, not {least}')
    print('the page is drawn')


if __name__ == '__main__':
    main()
