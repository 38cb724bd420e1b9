"""Readers that come back all at once, with events missed, beside readers that stayed."""

from speed_parts import Server, median, note, row, spread, table


def of(results, *path):
    values = []
    for result in results:
        for key in path:
            result = result.get(key, {})
        values.append(result or 0)
    return values


def three(results, *path):
    """p50, p99 and p99.9 in one cell."""
    return ' / '.join(f'{median(of(results, *path, key)):.1f}'
                      for key in ('p50_ms', 'p99_ms', 'p99_9_ms'))


def resume(lab, options):
    """1,000 come back with 10,000 events missed each, while 1,000 others read."""
    print('\n## 1,000 readers come back at once, 10,000 events missed each, beside 1,000 that '
          f'read {options.resume_rate:g} events a second\n')
    table('engine', 'calm p50 / p99 / p99.9 ms', '+-', 'until all have caught up', '+-',
          'p99 over calm', 'p99 more ms', 'allowed', 'server\'s own, calm', 'until then',
          'last caught up s', '+-', 'replayed/s', 'MiB/s', 'server CPU calm', 'until then',
          'meter CPU until then', 'aim held', 'faults')
    series = {engine: [] for engine in options.engine or ('io_uring', 'epoll')}
    for turn in range(options.runs):
        for engine in series:
            with Server(lab, f'sluice-{engine}', extra=options.resume_option) as server:
                result = server.meter(
                    'resume', '-n', 1000, '--returning', 1000, '--missed', 10000,
                    '--rate', options.resume_rate, '--size', options.size,
                    '--duration', options.duration, '--warmup', options.warmup,
                    '--stats', f'http://127.0.0.1:{server.port}/stats')
            series[engine].append(result)
            note(f'  run {turn + 1}/{options.runs} {engine}: '
                 f'p99 {result["calm"]["latency"]["p99_ms"]:.1f} and '
                 f'{result["during"]["latency"]["p99_ms"]:.1f} ms, caught up after '
                 f'{result["returned"]["last_caught_up_s"]:.2f} s, others '
                 f'{100 * result["during"]["others_cpu_share"]:.0f} %'
                 + (f'  {result["problems"]} {result["faults"]}' if result['exit'] else ''))
    for engine, results in series.items():
        calm = of(results, 'calm', 'latency', 'p99_ms')
        during = of(results, 'during', 'latency', 'p99_ms')
        last = of(results, 'returned', 'last_caught_up_s')
        held = [max(1.5 * a, a + 10) >= b for a, b in zip(calm, during)]
        held_server = [max(1.5 * a, a + 10) >= b for a, b in
                       zip(of(results, 'calm', 'server_fanout', 'p99_ms'),
                           of(results, 'during', 'server_fanout', 'p99_ms'))]
        row(engine, three(results, 'calm', 'latency'), f'{100 * spread(calm):.0f} %',
            three(results, 'during', 'latency'), f'{100 * spread(during):.0f} %',
            f'{median([b / a for a, b in zip(calm, during)]):.2f}',
            f'{median([b - a for a, b in zip(calm, during)]):.1f}',
            f'{max(1.5 * median(calm), median(calm) + 10):.1f}',
            three(results, 'calm', 'server_fanout'), three(results, 'during', 'server_fanout'),
            f'{median(last):.2f}', f'{100 * spread(last):.0f} %',
            f'{median(of(results, "returned", "events_a_second")):,.0f}',
            f'{median(of(results, "returned", "bytes_a_second")) / 2**20:,.0f}',
            f'{100 * median(of(results, "calm", "server_cpu_share")):.0f} %',
            f'{100 * median(of(results, "during", "server_cpu_share")):.0f} %',
            f'{100 * median(of(results, "during", "meter_cpu_share")):.0f} %',
            f'{sum(held)} of {len(held)}, server {sum(held_server)}',
            sum(sum(r['faults'].values()) + (r['exit'] != 0) for r in results))
