"""Packs in Spark: counts, cost by team, one record, and every digest computed again.

    spark-submit examples/spark/audit.py s3a://bucket/prefix/packs          (or a folder)
    spark-submit examples/spark/audit.py s3a://bucket/prefix/packs chatcmpl-…

Prints one JSON line for each answer. Exits with 1 if a body is not the one that its row names. That every row is the one
that was acknowledged, and that none is missing, is for `indelible verify` to prove: it compares the packs with the signed log.
"""

import json
import sys

from pyspark.sql import SparkSession

packs, wanted = sys.argv[1], sys.argv[2:]
spark = SparkSession.builder.appName("audit").config("spark.sql.session.timeZone", "UTC").getOrCreate()
# dt and hour come from the path; filters on them, on time and on seq leave out files and row groups.
spark.read.parquet(packs).createOrReplaceTempView("audit")


def ask(what, sql, **values):
    for row in spark.sql(sql, args=values).collect():
        print(json.dumps({what: row.asDict()}, default=str))


ask("records", "select count(*) as n, min(seq) as first, max(seq) as last, sum(size) as bytes from audit")
ask("team", """
    select dt, team, count(*) as n, sum(cost) as cost, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out
    from audit group by dt, team order by dt, team""")
for one in wanted:
    # First the number, which costs no body; then the body by its number.
    for row in spark.sql("select seq from audit where id = :id", args={"id": one}).collect():
        ask("record", "select seq, time, key, sha256, decode(body, 'utf-8') as body from audit where seq = :seq", seq=row.seq)

# Bodies that are objects of their own (extra.object), and empty ones, are null here.
wrong = spark.sql("select log, seq, key from audit where body is not null and sha2(body, 256) <> sha256").collect()
for row in wrong:
    print(json.dumps({"changed": row.asDict()}))
checked = spark.sql("select count(body) as n from audit").first().n
print(json.dumps({"digests": checked - len(wrong), "changed": len(wrong)}))
spark.stop()
sys.exit(1 if wrong else 0)
