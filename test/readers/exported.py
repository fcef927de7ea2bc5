"""exported.py READER FOLDER FILE FACTS: reads what export --format parquet wrote, the folder of parts and the one file, with
one reader, and compares count, digests, cost and one record with FACTS (JSON)."""

import hashlib
import json
import sys

reader, folder, file, want = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])


def check(what, rows):
    """rows are (seq, sha256, body, team, cost, id) of all records, in any order."""
    rows = sorted(rows)
    got = dict(
        seqs=[r[0] for r in rows] == list(range(1, want["rows"] + 1)),
        digests=sum(hashlib.sha256(r[2]).hexdigest() == r[1] for r in rows),
        alpha=sum(r[3] == "alpha" for r in rows),
        cost=sum(r[4] for r in rows if r[3] == "alpha"),
        ids=[json.loads(r[2])["id"] for r in rows if r[5] == want["id"]],
    )
    expect = dict(seqs=True, digests=want["rows"], alpha=want["alpha"], cost=want["cost"], ids=[want["id"]])
    if got != expect:
        sys.exit(f"{reader}: {what}: {got}, not {expect}")


COLUMNS = ["seq", "sha256", "body", "team", "cost", "id"]
SELECT = "select " + ", ".join(COLUMNS) + " from "


def duckdb():
    import duckdb as d

    check("folder", d.sql(f"{SELECT} read_parquet('{folder}/**/*.parquet')").fetchall())
    check("file", d.sql(f"{SELECT} read_parquet('{file}')").fetchall())


def pyarrow():
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    rows = lambda t: [tuple(r[c] for c in COLUMNS) for r in t.to_pylist()]
    check("folder", rows(ds.dataset(folder, format="parquet", partitioning="hive").to_table(columns=COLUMNS)))
    check("file", rows(pq.read_table(file, columns=COLUMNS)))


def polars():
    import polars as pl

    check("folder", pl.scan_parquet(folder).select(COLUMNS).collect().iter_rows())
    check("file", pl.scan_parquet(file).select(COLUMNS).collect().iter_rows())


def datafusion():
    import datafusion as df

    c = df.SessionContext()
    for name, place in (("folder", folder + "/"), ("file", file)):
        c.sql(f"create external table {name} stored as parquet location '{place}'")
        check(name, [tuple(r[x] for x in COLUMNS) for b in c.sql(SELECT + name).collect() for r in b.to_pylist()])


def chdb():
    from chdb import session

    s = session.Session()
    for name, place in (("folder", folder + "/**/*.parquet"), ("file", file)):
        rows = json.loads(str(s.query(f"select seq, sha256, base64Encode(assumeNotNull(body)), team, cost, id from file('{place}', Parquet)", "JSONCompact")))["data"]
        import base64

        check(name, [(int(r[0]), r[1], base64.b64decode(r[2]), *r[3:]) for r in rows])


{f.__name__: f for f in (duckdb, pyarrow, polars, datafusion, chdb)}[reader]()
