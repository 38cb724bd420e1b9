"""The meter against the gateway itself: readers that come back, and the bare loop with topics.

Usage: gateway_test.py SLUICE METER. Skipped (77) where no engine of the gateway works.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile

sluice, bench = sys.argv[1:3]


def run(*arguments):
    with tempfile.NamedTemporaryFile(suffix='.json') as out:
        process = subprocess.run([bench, *map(str, arguments), '--quiet', '--json', out.name],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.returncode == 0, process.stdout
        return json.loads(open(out.name).read())


def check_resume(base, engine, pid):
    result = run('resume', '--stream', base + '/stream', '--publish', base + '/broadcast',
                 '--stats', base + '/stats', '-n', 20, '--returning', 30, '--missed', 1000,
                 '--rate', 200, '--duration', 0.5, '--warmup', 0.1, '--settle', 0.1,
                 '--after', 0.2, '--pid', pid, '--engine', engine)
    assert result['passed'], result
    assert result['returned']['caught_up'] == 30, result
    assert result['returned']['events'] >= 30 * 1000, result
    assert result['deliveries'] == result['events_accepted'] * 50, result
    for window in ('calm', 'during'):
        assert result[window]['latency']['count'] > 0, result
        assert result[window]['server_fanout']['count'] > 0, result


def resume(engine):
    process = subprocess.Popen([sluice, '--listen', '127.0.0.1:0', '--engine', engine],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            found = re.search(r'listening on (127\.0\.0\.1:\d+)', line)
            if found:
                check_resume('http://' + found.group(1), engine, process.pid)
                return True
        print(f'{engine} does not work here: {"".join(said)}')
        return False
    finally:
        process.terminate()
        process.communicate(timeout=40)


def floor_with_topics():
    """Events of a topic come to its readers only, or they would be told as misrouted."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    result = run('floor', '--port', port, '--topics', 3, '-n', 10, '--rate', 200,
                 '--duration', 0.5, '--warmup', 0.1, '--settle', 0.1)
    assert [one['mode'] for one in result['runs']] == ['send', 'io_uring'], result
    for one in result['runs']:
        assert one['run']['deliveries'] == one['run']['deliveries_due'] > 100, one
        assert one['run']['deliveries'] < 10 * one['run']['events']['accepted'], one


ran = [resume(engine) for engine in ('io_uring', 'epoll')]
if ran[0]:
    floor_with_topics()
sys.exit(0 if any(ran) else 77)
