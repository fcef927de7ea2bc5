"""Calls, tokens and cost by team and day with DuckDB over packs, and the processor time that takes: beside "stats" without an index.

    INDELIBLE_BESIDE=200000 INDELIBLE_BESIDE_DIR=DIR go test -run '^$' -bench '^BenchmarkBeside$/^without_index$/^stats/^team,day$' -benchtime 3x ./internal/local
    python test/readers/sums.py DIR/store/packs
"""
import resource
import sys
import time

import duckdb

glob = sys.argv[1] + "/**/*.parquet"
sql = f"""select team, date_trunc('day', time) as day, count(*), sum(tokens_in), sum(tokens_out), sum(cost)
from read_parquet('{glob}') group by all order by all"""


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


for _ in range(5):
    before, begun = cpu(), time.time()
    sums = duckdb.sql(sql).fetchall()
    print(f"{len(sums)} sums of {sum(s[2] for s in sums)} records: {(cpu() - before) * 1e3:.0f} ms of a CPU, {(time.time() - begun) * 1e3:.0f} ms")
