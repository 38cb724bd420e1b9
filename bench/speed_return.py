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
    print('\n## 1,000 readers come back at once, 10,000 events missed each, beside 1,000 that read on\n')
    table('events/s', 'engine', 'calm p50 / p99 / p99.9 ms', '+-', 'until all have caught up', '+-',
          'after, 2,000 live', 'p99 over calm', 'p99 more ms', 'allowed',
          'server\'s own, calm', 'until then', 'after',
          'last caught up s', '+-', 'replayed/s', 'MiB/s', 'server CPU calm', 'until then', 'after',
          'meter CPU until then', 'held', 'by the server\'s own', 'faults')
    for rate in options.resume_rate:
        at_rate(lab, options, rate)


def at_rate(lab, options, rate):
    series = {engine: [] for engine in options.engine or ('io_uring', 'epoll')}
    for turn in range(options.runs):
        for engine in series:
            with Server(lab, f'sluice-{engine}', extra=options.resume_option) as server:
                result = server.meter(
                    'resume', '-n', 1000, '--returning', 1000, '--missed', 10000,
                    '--rate', rate, '--size', options.size,
                    '--duration', options.duration, '--warmup', options.warmup,
                    '--after', options.duration,
                    '--stats', f'http://127.0.0.1:{server.port}/stats')
            series[engine].append(result)
            note(f'  run {turn + 1}/{options.runs} {engine}, {rate:g}/s: '
                 f'p99 {result["calm"]["latency"]["p99_ms"]:.1f}, '
                 f'{result["during"]["latency"]["p99_ms"]:.1f} and '
                 f'{result["after"]["latency"]["p99_ms"]:.1f} ms, caught up after '
                 f'{result["returned"]["last_caught_up_s"]:.2f} s, others '
                 f'{100 * result["during"]["others_cpu_share"]:.0f} %'
                 + (f'  {result["problems"]} {result["faults"]}' if result['exit'] else ''))
    for engine, results in series.items():
        print_row(rate, engine, results)


def held_in(results, histogram):
    """In how many runs the p99 grew by no more than it may."""
    return sum(max(1.5 * a, a + 10) >= b
               for a, b in zip(of(results, 'calm', histogram, 'p99_ms'),
                               of(results, 'during', histogram, 'p99_ms')))


def print_row(rate, engine, results):
    calm = of(results, 'calm', 'latency', 'p99_ms')
    during = of(results, 'during', 'latency', 'p99_ms')
    last = of(results, 'returned', 'last_caught_up_s')
    row(f'{rate:g}', engine, three(results, 'calm', 'latency'), f'{100 * spread(calm):.0f} %',
        three(results, 'during', 'latency'), f'{100 * spread(during):.0f} %',
        three(results, 'after', 'latency'),
        f'{median([b / a for a, b in zip(calm, during)]):.2f}',
        f'{median([b - a for a, b in zip(calm, during)]):.1f}',
        f'{max(1.5 * median(calm), median(calm) + 10):.1f}',
        *(three(results, window, 'server_delivery') for window in ('calm', 'during', 'after')),
        f'{median(last):.2f}', f'{100 * spread(last):.0f} %',
        f'{median(of(results, "returned", "events_a_second")):,.0f}',
        f'{median(of(results, "returned", "bytes_a_second")) / 2**20:,.0f}',
        *(f'{100 * median(of(results, window, "server_cpu_share")):.0f} %'
          for window in ('calm', 'during', 'after')),
        f'{100 * median(of(results, "during", "meter_cpu_share")):.0f} %',
        f'{held_in(results, "latency")} of {len(results)}',
        f'{held_in(results, "server_delivery")} of {len(results)}',
        sum(sum(r['faults'].values()) + (r['exit'] != 0) for r in results))
