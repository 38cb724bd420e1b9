"""Many topics with a reader each: what a publish to one of them costs, beside the bare loop."""

from speed_parts import Server, median, note, row, spread, table

# Topics to compare. epoll is bounded by the limit of open files.
COUNTS = {'io_uring': (100, 100_000), 'epoll': (100, 18_000)}


def one_run(lab, options, name, count):
    bare = name.startswith('floor')
    with Server(lab, name, extra=['--topics'] if bare else []) as server:
        result = server.meter('fanout', '-n', count, '--topics', count,
                              '--rate', options.topics_rate, '--size', options.size,
                              '--duration', options.duration, '--warmup', options.warmup,
                              '--settle', 2)
    note(f'  {name}, {count:,} topics: {result["server"]["cpu_us_a_delivery"]:.2f} us a delivery, '
         f'others {100 * result["others_cpu_share"]:.0f} %'
         + (f'  {result["problems"]} {result["faults"]}' if result['exit'] else ''))
    return result


def topics(lab, options):
    """Each event goes to one topic, drawn at random, and so to one reader."""
    print(f'\n## A reader a topic, {options.topics_rate:g} events a second to topics at random\n')
    table('engine', 'topics', 'us CPU a delivery', '+-', 'growth', 'bare loop', '+-', 'growth',
          'over the bare loop\'s growth', 'aim', 'p50 / p99 ms', 'bare loop',
          'user bytes a reader and topic (PSS)', 'kernel bytes, both ends', 'meter CPU', 'faults')
    for engine in options.engine or COUNTS:
        bare = 'floor-io_uring' if engine == 'io_uring' else 'floor-send'
        names = {f'sluice-{engine}': {}, bare: {}}
        for _ in range(options.runs):
            for count in COUNTS[engine]:
                for name, series in names.items():
                    series.setdefault(count, []).append(one_run(lab, options, name, count))
        print_engine(engine, *names.values())


def costs(results):
    return [r['server']['cpu_us_a_delivery'] for r in results]


def print_engine(engine, ours, bare):
    few, many = COUNTS[engine]
    growths = [[b / a for a, b in zip(costs(series[few]), costs(series[many]))]
               for series in (ours, bare)]
    for count in (few, many):
        own = costs(ours[count])
        floor = costs(bare[count])
        grown = ['', '', '', '']
        if count == many:
            over = median([a / b for a, b in zip(*growths)])
            grown = [f'{median(growths[0]):.2f}', f'{median(growths[1]):.2f}', f'{over:.2f}', '1.3']
        row(engine, f'{count:,}', f'{median(own):.2f}', f'{100 * spread(own):.0f} %', grown[0],
            f'{median(floor):.2f}', f'{100 * spread(floor):.0f} %', *grown[1:],
            latency(ours[count]), latency(bare[count]),
            f'{median([r["memory"]["server_pss_bytes_each"] for r in ours[count]]):,.0f}',
            f'{median([r["memory"]["kernel_bytes_each"] for r in ours[count]]):,.0f}',
            f'{100 * median([r["meter_cpu_share"] for r in ours[count]]):.0f} %',
            sum(sum(r['faults'].values()) + (r['exit'] != 0)
                for r in ours[count] + bare[count]))


def latency(results):
    return ' / '.join(f'{median([r["latency"][key] for r in results]):.2f}'
                      for key in ('p50_ms', 'p99_ms'))
