"""read.py READER DIR FACTS: reads the packs below DIR with one reader, by the statements
of docs/format/pack.md, and compares what it finds with FACTS (JSON). Lines that begin with "== " are
the reader's own figures."""

import hashlib
import json
import re
import sys

reader, packs, want = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
glob = packs + "/**/*.parquet"


def same(what, got, expect):
    if got != expect:
        sys.exit(f"{reader}: {what} is {got!r}, not {expect!r}")


def say(*what):
    print("==", reader, *what)


def digests(rows):
    """Counts rows of (body, sha256) whose digest is right."""
    return sum(1 for body, sha in rows if body is not None and hashlib.sha256(body).hexdigest() == sha)


def duckdb():
    import duckdb as d

    q = lambda sql: d.sql(sql).fetchall()
    p = f"read_parquet('{glob}')"
    same("count", q(f"select count(*) from {p}"), [(want["rows"],)])
    same("digests", q(f"select count(*) from {p} where sha256(body) = sha256"), [(want["bodies"],)])
    same("failures", q(f"select count(*) from {p} where status = 'failure'"), [(want["failures"],)])
    where = "team = 'alpha' and dt = '2026-11-29'"
    same("team and day", q(f"select count(*), sum(cost) from {p} where {where}"), [(want["alpha"], want["cost"])])
    same("hours", q(f"select count(*) from {p} where hour >= 8"), [(want["evening"],)])
    same("one by id", q(f"select seq, decode(body)->>'$.id' from {p} where id = '{want['id']}'"), [(want["seq"], want["id"])])
    same("one by seq", q(f"select sha256, time_ns, epoch_us(time), tags, stream, tokens_in from {p} where seq = {want['seq']}"),
         [(want["sha256"], want["time_ns"], want["time_ns"] // 1000, ["prod", "café"], True, 100)])
    same("headers", q(f"""select headers->>'$."content-type"', content_type from {p} where seq = {want['seq']}"""), [("application/json", "application/json")])
    same("trap: JSON of a BLOB", q(f"select count(body->>'$.id') from {p}"), [(0,)])
    same("duration", q(f"select epoch(\"end\" - start) from {p} where seq = {want['seq']}"), [(0.5,)])
    same("tags", q(f"select count(*) filter (tags is null) > 0, count(*) filter (tags = []), count(*) filter (list_contains(tags, 'prod')) > 0 from {p}")[0][::2], (True, True))
    same("large", q(f"select count(*), any_value(extra->>'$.object') from {p} where body is null and size > 0"), [(1, "packs/large/x")])
    same("types", dict(r[:2] for r in q(f"describe select dt, hour, time, start, body, tags, cost, stream, seq, sha256 from {p}")),
         dict(dt="DATE", hour="BIGINT", time="TIMESTAMP WITH TIME ZONE", start="TIMESTAMP WITH TIME ZONE", body="BLOB", tags="VARCHAR[]", cost="DOUBLE", stream="BOOLEAN", seq="BIGINT", sha256="VARCHAR"))
    plan = q(f"explain analyze select sum(cost) from {p} where {where}")[0][1]
    figures = re.findall(r"(?:Scanning Files|Row Groups Scanned|Total Files Read)[^\n│]*", plan)
    say(*(f.strip() for f in figures))
    groups = re.search(r"Row Groups Scanned:\s*(\d+)\s*/\s*(\d+)", plan)
    if not groups or int(groups[1]) >= int(groups[2]):
        sys.exit("duckdb: no row group was left out:\n" + plan)
    plan = q(f"explain analyze select body from {p} where id = '{want['id']}'")[0][1]
    groups = re.search(r"Row Groups Scanned:\s*(\d+)\s*/\s*(\d+)", plan)
    say("one id by bloom filter:", groups[0])
    if int(groups[1]) > 2:
        sys.exit("duckdb: the bloom filters do not help:\n" + plan)


def pyarrow():
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    t = ds.dataset(packs, format="parquet", partitioning="hive")
    same("count", t.count_rows(), want["rows"])
    rows = t.to_table(columns=["body", "sha256"])
    same("digests", digests(zip(rows["body"].to_pylist(), rows["sha256"].to_pylist())), want["bodies"])
    f = (pc.field("team") == "alpha") & (pc.field("dt") == "2026-11-29")
    same("team and day", sum(t.to_table(filter=f, columns=["cost"])["cost"].to_pylist()), want["cost"])
    same("hours", t.count_rows(filter=pc.field("hour") >= 8), want["evening"])
    one = t.to_table(filter=pc.field("seq") == want["seq"]).to_pylist()[0]
    same("one by seq", (one["id"], one["sha256"], one["time_ns"], one["tags"], one["stream"], int(one["time"].timestamp() * 1e6)),
         (want["id"], want["sha256"], want["time_ns"], ["prod", "café"], True, want["time_ns"] // 1000))
    s = t.schema
    same("types", [str(s.field(n).type) for n in ("dt", "hour", "time", "body", "tags", "cost", "seq")],
         ["string", "int32", "timestamp[us, tz=UTC]", "binary", "list<element: string not null>", "double", "int64"])
    kept = [fr.subset(f, schema=t.schema).num_row_groups for fr in t.get_fragments(filter=f)]
    all_groups = sum(fr.num_row_groups for fr in t.get_fragments())
    say(f"files {len(kept)}/{want['files']}, row groups {sum(kept)}/{all_groups}")
    if len(kept) != 3 or sum(kept) >= all_groups * 3 // 4:
        sys.exit("pyarrow: no row group was left out")


def polars():
    import io
    import os

    import polars as pl

    t = lambda: pl.scan_parquet(packs)
    same("count", t().select(pl.len()).collect().item(), want["rows"])
    rows = t().select("body", "sha256").collect()
    same("digests", digests(rows.iter_rows()), want["bodies"])
    f = (pl.col("team") == "alpha") & (pl.col("dt") == pl.date(2026, 11, 29))
    same("team and day", t().filter(f).select(pl.len(), pl.col("cost").sum()).collect().row(0), (want["alpha"], want["cost"]))
    same("hours", t().filter(pl.col("hour") >= 8).select(pl.len()).collect().item(), want["evening"])
    one = t().filter(pl.col("seq") == want["seq"]).select("id", "sha256", "time_ns", "tags", "stream", pl.col("time").dt.epoch("us"), pl.col("body").cast(pl.String).str.json_path_match("$.id").alias("inner"))
    same("one by seq", one.collect().row(0), (want["id"], want["sha256"], want["time_ns"], ["prod", "café"], True, want["time_ns"] // 1000, want["id"]))
    s = t().collect_schema()
    same("types", [str(s[n]) for n in ("dt", "hour", "time", "body", "tags", "cost", "seq")],
         ["Date", "Int64", "Datetime(time_unit='us', time_zone='UTC')", "Binary", "List(String)", "Float64", "Int64"])
    # Its figures come on stderr, with POLARS_VERBOSE=1.
    read, write = os.pipe()
    kept = os.dup(2)
    os.dup2(write, 2)
    t().filter(f).select(pl.col("cost").sum()).collect()
    os.dup2(kept, 2)
    os.close(write)
    text = io.open(read, errors="replace").read()
    figures = re.findall(r"[Pp]redicate pushdown: reading (\d+) / (\d+) row groups", text)
    say("row groups", *(f"{a}/{b}" for a, b in figures))
    if not figures or not any(int(a) < int(b) for a, b in figures):
        sys.exit("polars: no row group was left out:\n" + text)


def datafusion():
    import datafusion as df

    c = df.SessionContext()
    c.sql(f"create external table p stored as parquet location '{packs}/'")
    q = lambda sql: [tuple(r.values()) for b in c.sql(sql).collect() for r in b.to_pylist()]
    same("count", q("select count(*) from p"), [(want["rows"],)])
    same("digests", q("select count(*) from p where encode(sha256(body), 'hex') = sha256"), [(want["bodies"],)])
    where = "team = 'alpha' and dt = date '2026-11-29'"
    same("team and day", q(f"select count(*), sum(cost) from p where {where}"), [(want["alpha"], want["cost"])])
    same("hours", q("select count(*) from p where cast(hour as int) >= 8"), [(want["evening"],)])
    same("one by seq", q(f"select id, sha256, time_ns, tags, stream, cast(time as bigint) from p where seq = {want['seq']}"),
         [(want["id"], want["sha256"], want["time_ns"], ["prod", "café"], True, want["time_ns"] // 1000)])
    same("one by id", q(f"select seq, body::varchar like '%{want['id']}%' from p where id = '{want['id']}'"), [(want["seq"], True)])
    plan = str(c.sql(f"explain analyze select sum(cost) from p where {where}").collect()[0].to_pylist())
    figures = re.findall(r"row_groups_pruned_statistics=([^,\]]*)", plan)
    say("row_groups_pruned_statistics", figures)
    numbers = [int(n) for n in re.findall(r"\d+", figures[0])] if figures else []
    if len(numbers) < 2 or numbers[1] >= numbers[0]:
        sys.exit("datafusion: no row group was left out:\n" + plan)


def chdb():
    from chdb import session

    s = session.Session()
    q = lambda sql: json.loads(str(s.query(sql, "JSONCompact")))["data"]
    p = f"file('{glob}', Parquet)"
    same("count", q(f"select toInt32(count()) from {p}"), [[want["rows"]]])
    same("digests", q(f"select toInt32(count()) from {p} where body is not null and lower(hex(SHA256(assumeNotNull(body)))) = sha256"), [[want["bodies"]]])
    where = "team = 'alpha' and dt = '2026-11-29'"
    same("team and day", q(f"select toInt32(count()), sum(cost) from {p} where {where}"), [[want["alpha"], want["cost"]]])
    same("hours", q(f"select toInt32(count()) from {p} where hour >= 8"), [[want["evening"]]])
    same("one by seq", q(f"select id, sha256, toString(time_ns), tags, stream, toString(toUnixTimestamp64Micro(time)), JSONExtractString(body, 'id') from {p} where seq = {want['seq']}"),
         [[want["id"], want["sha256"], str(want["time_ns"]), ["prod", "café"], True, str(want["time_ns"] // 1000), want["id"]]])
    types = {r[0]: r[1] for r in q(f"describe table {p}")}
    same("types", [types[n] for n in ("dt", "hour", "time", "body", "tags", "cost", "seq")],
         ["Date", "Int64", "DateTime64(6, 'UTC')", "Nullable(String)", "Array(String)", "Nullable(Float64)", "Int64"])
    events = lambda: dict(q("select event, toInt64(value) from system.events where event like 'Parquet%RowGroup%'"))
    before = events()
    q(f"select sum(cost) from {p} where {where} settings max_threads=1")
    moved = {k: int(v) - int(before.get(k, 0)) for k, v in events().items()}
    say(moved)
    if not moved.get("ParquetPrunedRowGroups"):
        sys.exit(f"chdb: no row group was left out: {moved}")


def pyiceberg():
    import glob as g
    import os

    import pyarrow.parquet as pq
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import EqualTo

    house = os.environ["HOME"]
    catalog = SqlCatalog("c", uri=f"sqlite:///{house}/c.db", warehouse=f"file://{house}/w")
    catalog.create_namespace("llm")
    files = sorted(g.glob(glob, recursive=True))
    table = catalog.create_table("llm.audit", schema=pq.read_schema(files[0]))
    table.add_files(files)
    rows = table.scan(selected_fields=("body", "sha256")).to_arrow()
    same("count", rows.num_rows, want["rows"])
    same("digests", digests(zip(rows["body"].to_pylist(), rows["sha256"].to_pylist())), want["bodies"])
    same("one by seq", table.scan(row_filter=EqualTo("seq", want["seq"]), selected_fields=("id", "tags")).to_arrow().to_pylist(), [{"id": want["id"], "tags": ["prod", "café"]}])
    day = "team = 'alpha' and time >= '2026-11-29T00:00:00+00:00'"
    same("team and day", sum(table.scan(row_filter=day, selected_fields=("cost",)).to_arrow()["cost"].to_pylist()), want["cost"])
    plan = list(table.scan(row_filter="time >= '2026-11-29T08:00:00+00:00'").plan_files())
    say(f"files planned for the last hour: {len(plan)}/{len(files)}")
    same("files planned", len(plan), 1)


def pyspark():
    from pyspark.sql import SparkSession

    s = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
         .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate())
    s.read.parquet(packs).createOrReplaceTempView("p")
    q = lambda sql: [tuple(r) for r in s.sql(sql).collect()]
    same("count", q("select count(*) from p"), [(want["rows"],)])
    same("digests", q("select count(*) from p where sha2(body, 256) = sha256"), [(want["bodies"],)])
    where = "team = 'alpha' and dt = date '2026-11-29'"
    same("team and day", q(f"select count(*), sum(cost) from p where {where}"), [(want["alpha"], want["cost"])])
    same("hours", q("select count(*) from p where hour >= 8"), [(want["evening"],)])
    same("one by seq", q(f"select id, sha256, time_ns, tags, stream, unix_micros(time), get_json_object(decode(body, 'utf-8'), '$.id') from p where seq = {want['seq']}"),
         [(want["id"], want["sha256"], want["time_ns"], ["prod", "café"], True, want["time_ns"] // 1000, want["id"])])
    same("types", [dict(s.table("p").dtypes)[n] for n in ("dt", "hour", "time", "body", "tags", "cost", "seq")],
         ["date", "int", "timestamp", "binary", "array<string>", "double", "bigint"])
    plan = q(f"explain formatted select sum(cost) from p where {where}")[0][0]
    say(*re.findall(r"PushedFilters: .*|PartitionFilters: .*", plan))
    if "EqualTo(team,alpha)" not in plan:
        sys.exit("pyspark: the filter is not pushed down:\n" + plan)
    s.stop()


def deltalake():
    import shutil

    import deltalake as dl
    import pyarrow.compute as pc

    copy = packs + "-delta"
    shutil.copytree(packs, copy)
    part = dl.Schema([dl.Field("dt", dl.schema.PrimitiveType("string")), dl.Field("hour", dl.schema.PrimitiveType("string"))])
    dl.convert_to_deltalake(copy, partition_by=part, partition_strategy="hive")
    t = dl.DeltaTable(copy).to_pyarrow_dataset()
    same("count", t.count_rows(), want["rows"])
    rows = t.to_table(columns=["body", "sha256"])
    same("digests", digests(zip(rows["body"].to_pylist(), rows["sha256"].to_pylist())), want["bodies"])
    f = (pc.field("team") == "alpha") & (pc.field("dt") == "2026-11-29")
    same("team and day", sum(t.to_table(filter=f, columns=["cost"])["cost"].to_pylist()), want["cost"])
    kept = [fr.subset(f, schema=t.schema).num_row_groups for fr in t.get_fragments(filter=f)]
    say(f"files {len(kept)}/{want['files']}, row groups {sum(kept)}")
    same("files", len(kept), 3)


{f.__name__: f for f in (duckdb, pyarrow, polars, datafusion, chdb, pyiceberg, deltalake, pyspark)}[reader]()
say("all right")
